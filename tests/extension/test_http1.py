"""The loopback HTTP of Lambda's APIs, in whatever pieces it arrives, within bounds."""

import http.server
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldspan_extension import json1
from coldspan_extension.http1 import MAX_BODY, MAX_HEAD, BadMessage, Reader, request

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLambda-Extension-Identifier: abc\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"


@pytest.mark.parametrize("message", [PLAIN, CHUNKED])
def test_a_message_is_complete_with_its_last_byte_and_no_sooner(message: bytes) -> None:
    reader = Reader()
    for at in range(len(message) - 1):
        assert reader.feed(message[at : at + 1]) is None
    found = reader.feed(message[-1:])
    assert found is not None
    assert found.body == b"hello"


def test_two_messages_in_one_read_come_one_after_the_other() -> None:
    reader = Reader()
    first = reader.feed(PLAIN + CHUNKED)
    second = reader.feed(b"")
    assert first is not None
    assert (first.status, first.headers["lambda-extension-identifier"]) == (200, "abc")
    assert second is not None
    assert (second.start, second.status) == ("POST / HTTP/1.1", 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x" * (MAX_HEAD + 1), "no end of the headers within 65536 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n", "Content-Length 'ten', expected 0 to"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), "expected 0 to 4194304"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk size b'zz'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n", "more than 4194304 bytes"),
    ],
)
def test_what_is_no_message_within_the_bounds_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(BadMessage, match=reason):
        Reader().feed(data)


def test_a_request_is_what_an_http_server_understands() -> None:
    seen: list[tuple[str, str, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, self.headers["Lambda-Extension-Identifier"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    import _socket

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        client = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        client.connect(server.server_address)
        client.sendall(request("PUT", "/x", "host", [("Lambda-Extension-Identifier", "id")], b"{}"))
        thread.join()
        client.close()
    assert seen == [("/x", "id", b"{}")]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(JSON)
def test_json_without_the_json_package_reads_the_same(value: object) -> None:
    text = json.dumps(value).encode()
    assert json1.loads(b" \n" + text + b"\n") == json.loads(text)


@pytest.mark.parametrize("text", [b"", b"{", b'{"a":1} x', b"\xff", b"nope"])
def test_what_is_no_json_raises_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the promise is the class
        json1.loads(text)
