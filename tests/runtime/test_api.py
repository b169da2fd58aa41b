"""Our client of the Runtime API, where connections come and go."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from coldspan_wrapper.runtime.api import RuntimeApi, RuntimeApiError, parse_head

EVENT = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: %d\r\nContent-Length: 2\r\n\r\n{}"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

Serve = Callable[..., tuple[str, list[bytes]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve([reply, ...], ...): for each connection its replies, then it is closed. Gives the requests as they came."""
    threads: list[threading.Thread] = []

    def start(*connections: list[bytes], family: int = socket.AF_INET) -> tuple[str, list[bytes]]:
        listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
        requests: list[bytes] = []

        def answer() -> None:
            with closing(listener):
                for replies in connections:
                    connection, _ = listener.accept()
                    with closing(connection):
                        for reply in replies:
                            requests.append(connection.recv(65536))
                            connection.sendall(reply)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        host, port = listener.getsockname()[:2]
        return (f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"), requests

    yield start
    for thread in threads:
        thread.join()


def test_one_connection_serves_all_calls(serve: Serve) -> None:
    address, requests = serve([EVENT % 1, ACCEPTED, EVENT % 2])
    api = RuntimeApi(address)
    assert api.next()[1]["lambda-runtime-aws-request-id"] == "1"
    api.respond("1", b"null", "application/json", "")
    assert api.next()[1]["lambda-runtime-aws-request-id"] == "2"
    api.close()
    assert [request.split(b" HTTP")[0] for request in requests] == [
        b"GET /2018-06-01/runtime/invocation/next",
        b"POST /2018-06-01/runtime/invocation/1/response",
        b"GET /2018-06-01/runtime/invocation/next",
    ]


def test_a_connection_that_was_closed_meanwhile_is_replaced(serve: Serve) -> None:
    address, _ = serve([EVENT % 1], [ACCEPTED], [EVENT % 2])
    api = RuntimeApi(address)
    api.next()
    connection = api._connection
    assert connection is not None
    while not connection.has_input():  # until the end of it is there
        pass
    api.respond("1", b"null", "application/json", "")
    assert api.next()[1]["lambda-runtime-aws-request-id"] == "2"
    api.close()


def test_an_address_of_ipv6_will_do(serve: Serve) -> None:
    try:
        address, _ = serve([EVENT % 1], family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    api = RuntimeApi(address)
    assert api.next()[0] == b"{}"
    api.close()


def test_a_response_is_not_sent_twice(serve: Serve) -> None:
    address, requests = serve([EVENT % 1, b""])
    api = RuntimeApi(address)
    api.next()
    with pytest.raises(RuntimeApiError, match=r"POST .*/1/response"):
        api.respond("1", b"null", "application/json", "")
    assert len(requests) == 2


def test_nobody_there_is_an_error_that_names_the_call(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(RuntimeApiError, match=r"GET /2018-06-01/runtime/invocation/next: .*refused"):
        RuntimeApi(f"127.0.0.1:{port}").next()


@pytest.mark.parametrize("head", [b"", b"HTTP/2 200", b"HTTP/1.1 abc", b"nonsense", b"SSH-2.0-x"])
def test_what_is_no_reply_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected an HTTP/1\.1 reply"):
        parse_head(head)


def test_names_of_headers_are_compared_in_lower_case_and_values_without_blanks() -> None:
    assert parse_head(b"HTTP/1.1 200 OK\r\nA-B: \t c : d \r\ne:") == (200, {"a-b": "c : d", "e": ""})
