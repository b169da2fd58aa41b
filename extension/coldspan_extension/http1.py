"""As much HTTP/1.1 as the loopback APIs of Lambda need, over the C socket type.

`import socket` costs 12 ms and http.client 38 ms of every cold start, and everything up to the extension's first next
is on that path.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_HEAD = 65536
MAX_BODY = 4194304
"""The largest body we accept, 4 MB: a telemetry batch has at most 2 x 262,144 bytes and its metadata."""


class BadMessage(ValueError):
    """Bytes that are no HTTP/1.1 message within our limits."""


class Message:
    """A request or a response. `start` is its first line, header names are lower case."""

    __slots__ = ("body", "headers", "start")

    def __init__(self, start: str, headers: "dict[str, str]", body: bytes) -> None:
        self.start = start
        self.headers = headers
        self.body = body

    @property
    def status(self) -> int:
        """A response's status; 0 where the first line has none."""
        words = self.start.split(" ", 2)
        return int(words[1]) if len(words) > 1 and words[1].isascii() and words[1].isdigit() else 0


class Reader:
    """Messages from the bytes of one connection, in whatever pieces they come. `until_closed`: where none announces its
    length, it is a response that ends with the connection."""

    def __init__(self, *, until_closed: bool = False) -> None:
        self._unread = b""
        self._until_closed = until_closed
        self._unclosed: Message | None = None

    def feed(self, data: bytes) -> "Message | None":
        """Takes more bytes; the next message if it is complete by now. Raises BadMessage."""
        self._unread += data
        end = self._unread.find(b"\r\n\r\n")
        if end < 0:
            if len(self._unread) > MAX_HEAD:
                raise BadMessage(f"no end of the headers within {MAX_HEAD} bytes")
            return None
        start, *lines = self._unread[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        message = Message(start, headers, b"")
        if self._until_closed and _is_unannounced(message):
            if len(self._unread) > MAX_HEAD + MAX_BODY:
                raise BadMessage(f"a body of more than {MAX_BODY} bytes")
            message.body = self._unread[end + 4 :]
            self._unclosed = message
            return None
        body, rest = _body(headers, self._unread[end + 4 :])
        if body is None:
            return None
        message.body, self._unread = body, rest
        return message

    def closed(self) -> "Message | None":
        """The peer closed the connection: the message that is complete by that, if one is."""
        return self._unclosed


def _is_unannounced(response: Message) -> bool:
    """Whether a body follows of which only the connection's end tells the length."""
    announced = "content-length" in response.headers or "transfer-encoding" in response.headers
    return not announced and response.status >= 200 and response.status not in (204, 304)


def _body(headers: "dict[str, str]", data: bytes) -> "tuple[bytes | None, bytes]":
    """The body and what follows it; None while it is incomplete."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunked(data)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()) or len(length) > 9 or int(length) > MAX_BODY:
        raise BadMessage(f"Content-Length {length!r}, expected 0 to {MAX_BODY}")
    size = int(length)
    return (data[:size], data[size:]) if len(data) >= size else (None, data)


def _chunked(data: bytes) -> "tuple[bytes | None, bytes]":
    body = b""
    rest = data
    while True:
        line, found, rest = rest.partition(b"\r\n")
        if not found:
            return None, data
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise BadMessage(f"chunk size {line[:20]!r}, expected hexadecimal digits") from None
        if size < 0 or len(body) + size > MAX_BODY:
            raise BadMessage(f"a chunked body of more than {MAX_BODY} bytes")
        if len(rest) < size + 2:
            return None, data
        body += rest[:size]
        rest = rest[size + 2 :]
        if size == 0:
            return body, rest


def request(method: str, path: str, host: str, headers: "Iterable[tuple[str, str]]" = (), body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    if body or method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
