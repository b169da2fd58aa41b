"""One connection to a collector: HTTP/1.1 requests, over TLS where the URL says so, each within a time limit.

Over the C socket type, and `ssl` only for https: http.client would take 38 ms of CPU time, requests 140. Where a kept
connection turns out to be dead, the request is sent again over a new one, once. The peer may then have it twice: what
it carries must be recognisable.
"""

import _socket
import time

from coldspan_extension.http1 import BadMessage, Message, Reader
from coldspan_extension.urls import Url

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


class Unreachable(Exception):
    """No answer: the message says what was tried and what came of it."""


class Connection:
    """To the host of `url`. `make_context` gives the TLS context, and is asked only where there is a use for it."""

    def __init__(self, url: Url, make_context: "Callable[[], ssl.SSLContext]") -> None:
        self._url = url
        self._make_context = make_context
        self._context: ssl.SSLContext | None = None
        self._session: ssl.SSLSession | None = None
        self._socket: _socket.socket | ssl.SSLSocket | None = None

    def post(self, headers: "list[tuple[str, str]]", body: bytes, timeout_s: float) -> Message:
        """The answer to one POST of the URL. Raises Unreachable."""
        until = time.monotonic() + timeout_s
        head = [f"POST {self._url.target} HTTP/1.1", f"Host: {self._url.authority}"]
        head += [f"{name}: {value}" for name, value in (*headers, ("Content-Length", str(len(body))))]
        request = "\r\n".join([*head, "", ""]).encode("latin-1") + body
        try:
            if self._socket is not None:
                try:
                    return self._exchange(self._socket, request, until)
                except TimeoutError:
                    raise
                except OSError:
                    self.close()  # the peer had closed it meanwhile
            return self._exchange(self._connect(until), request, until)
        except (
            OSError,
            BadMessage,
            UnicodeError,
        ) as error:  # ssl's errors are OSErrors, a bad host's is the last
            self.close()
            raise Unreachable(f"{self._url.authority}: {error or type(error).__name__}") from error

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, until: float) -> "_socket.socket | ssl.SSLSocket":
        if self._url.scheme == "https" and self._context is None:
            self._context = self._make_context()
        plain = self._open(until)
        self._socket = plain
        if self._context is not None:
            plain.settimeout(_left(until))
            self._socket = self._context.wrap_socket(
                plain,  # type: ignore[arg-type] # the C type has all that is used of it
                server_hostname=self._url.host,
                session=self._session,
            )
        return self._socket

    def _open(self, until: float) -> _socket.socket:
        """Connects to the first of the host's addresses that answers."""
        failure: OSError = OSError("the host has no address")
        host = self._url.host.encode()  # of a str Python asks for its name in IDNA, whose tables take 8 ms to load
        for family, kind, protocol, _, address in _socket.getaddrinfo(host, self._url.port, 0, _socket.SOCK_STREAM):
            connection = _socket.socket(family, kind, protocol)
            try:
                connection.settimeout(_left(until))
                connection.connect(address)
            except OSError as error:
                connection.close()
                failure = error
                continue
            connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            return connection
        raise failure

    def _exchange(self, connection: "_socket.socket | ssl.SSLSocket", request: bytes, until: float) -> Message:
        connection.settimeout(_left(until))
        connection.sendall(request)
        reader = Reader(until_closed=True)
        answer: Message | None = None
        while answer is None or answer.status < 200:  # an interim one says nothing yet
            if answer is None:
                connection.settimeout(_left(until))
                data = connection.recv(65536)
                answer = reader.feed(data) if data else reader.closed()
                if answer is None and not data:
                    raise ConnectionResetError("the peer closed the connection before its answer was complete")
            else:
                answer = reader.feed(b"")
        if self._context is not None:
            self._session = connection.session  # type: ignore[union-attr] # of TLS 1.3 only after the first read
        if answer.start.startswith("HTTP/1.0") or "close" in answer.headers.get("connection", "").lower():
            self.close()
        return answer


def _left(until: float) -> float:
    """Seconds; never 0, which would mean not to wait at all."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
