"""The Runtime API, 2018-06-01, over one kept-alive connection: a socket and as much HTTP/1.1 as that API speaks.

`http.client` would cost 28 to 44 ms of every cold start, `socket` 12; `_socket` is what both are made of, and loads in
0.4 ms. Names of headers are in lower case, as HTTP means them; their values are text, without the blanks around it.
"""

import sys
from _socket import IPPROTO_TCP, MSG_DONTWAIT, MSG_PEEK, SOCK_STREAM, TCP_NODELAY, getaddrinfo, socket

from coldspan_wrapper import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "/2018-06-01"
NEXT = f"{VERSION}/runtime/invocation/next"
INIT_ERROR = f"{VERSION}/runtime/init/error"
RESTORE_NEXT = f"{VERSION}/runtime/restore/next"
RESTORE_ERROR = f"{VERSION}/runtime/restore/error"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
XRAY_CAUSE = "Lambda-Runtime-Function-XRay-Error-Cause"
INVOCATION_ID = "Lambda-Runtime-Invocation-Id"

MAX_XRAY_CAUSE = 1_048_576
"""Bytes; a longer one is left out, since all headers of a request together may have 1 MB."""
MAX_HEAD = 2_097_152
"""Bytes of a reply's head: the client context alone may have several kB."""
CONNECT_TIMEOUT_S = 1.0
RECEIVE_BYTES = 65536
USER_AGENT = f"coldspan/{__version__} python/{'.'.join(map(str, sys.version_info[:3]))}"


class RuntimeApiError(Exception):
    """The Runtime API refused a request, answered with what is no answer, or is not there. The process ends of it, as
    it does under awslambdaric: what state the platform is in is not known."""


class _Lost(OSError):
    """The connection ended before a byte of the reply."""


class RuntimeApi:
    """`address` is AWS_LAMBDA_RUNTIME_API, host:port. All methods raise RuntimeApiError."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: Connection | None = None

    def next(self) -> "tuple[bytes, dict[str, str]]":
        """Waits for an event: its bytes and the reply's headers."""
        body, headers = self._call("GET", NEXT)
        if not headers.get("lambda-runtime-aws-request-id"):
            raise RuntimeApiError(f"GET {NEXT}: the reply has no header Lambda-Runtime-Aws-Request-Id")
        deadline = headers.get("lambda-runtime-deadline-ms", "")
        if deadline and not (deadline.isascii() and deadline.isdigit()):
            raise RuntimeApiError(
                f"GET {NEXT}: expected ms since the Unix epoch, got Lambda-Runtime-Deadline-Ms: {deadline}"
            )
        return body, headers

    def respond(self, request_id: str, body: bytes, content_type: str, invocation_id: str) -> None:
        """`invocation_id` is next's header of that name, or empty."""
        headers = [("Content-Type", content_type), *_echo(invocation_id)]
        self._call("POST", response_path(request_id), body, headers)

    def fail(self, request_id: str, body: bytes, xray_cause: str, invocation_id: str) -> None:
        cause = xray_cause if len(xray_cause.encode()) < MAX_XRAY_CAUSE else ""
        headers = [("Content-Type", "application/json"), (XRAY_CAUSE, cause), *_echo(invocation_id)]
        self._call("POST", f"{VERSION}/runtime/invocation/{request_id}/error", body, headers)

    def fail_init(self, body: bytes, error_type: str) -> None:
        self._call("POST", INIT_ERROR, body, [(ERROR_TYPE, error_type)])

    def wait_for_restore(self) -> None:
        """Returns on another machine maybe, where no connection from before exists."""
        self._call("GET", RESTORE_NEXT)
        self.close()

    def fail_restore(self, body: bytes, error_type: str) -> None:
        self._call("POST", RESTORE_ERROR, body, [(ERROR_TYPE, error_type)])

    def connection(self) -> "Connection":
        """The kept one, or a new one where there is none that is alive."""
        if self._connection is None or self._connection.has_input():  # nothing was asked: it is the end
            self.close()
            self._connection = Connection(self._address)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _call(
        self, method: str, path: str, body: "bytes | None" = None, headers: "Sequence[tuple[str, str]]" = ()
    ) -> "tuple[bytes, dict[str, str]]":
        """The body and the headers of a reply that accepts the request."""
        request = self._request(method, path, body, headers)
        try:
            status, reply_headers, reply = self._exchange(request, again=method == "GET")
        except (OSError, ValueError) as error:
            self.close()
            raise RuntimeApiError(f"{method} {path}: {error}") from error
        if not 200 <= status < 300:
            raise refused(method, path, status, reply)
        return reply, reply_headers

    def _request(self, method: str, path: str, body: "bytes | None", headers: "Sequence[tuple[str, str]]") -> bytes:
        if body is not None:
            headers = [*headers, ("Content-Length", str(len(body)))]
        return self.head(method, path, headers) + (body or b"")

    def head(self, method: str, path: str, headers: "Sequence[tuple[str, str]]") -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address}", f"User-Agent: {USER_AGENT}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def _exchange(self, request: bytes, *, again: bool) -> "tuple[int, dict[str, str], bytes]":
        """One request. `again`: once more on a new connection, where the kept one ended before a byte of the reply."""
        was_kept = self._connection is not None
        try:
            return self._exchange_once(request)
        except _Lost:
            if not (again and was_kept):
                raise
            self.close()
            return self._exchange_once(request)

    def _exchange_once(self, request: bytes) -> "tuple[int, dict[str, str], bytes]":
        connection = self.connection()
        try:
            connection.send(request)
        except OSError as error:
            if not connection.has_input():  # it may have answered and closed before it had read all
                raise _Lost(*error.args) from error
        status, headers, body = connection.receive()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, body


class Connection:
    """One connection. Raises OSError, and ValueError for what is no HTTP."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        name = host.strip("[]").encode()  # of a str Python asks for its name in IDNA, whose tables take 8 ms to load
        family, kind, protocol, _, place = getaddrinfo(name, port, 0, SOCK_STREAM)[0]
        self._socket = socket(family, kind, protocol)
        self._unread = b""
        try:
            self._socket.settimeout(CONNECT_TIMEOUT_S)
            self._socket.connect(place)
            self._socket.settimeout(None)
            self._socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        except BaseException:
            self._socket.close()
            raise

    def send(self, data: "bytes | memoryview") -> None:
        """Waits until the kernel has taken all of it: a peer that reads slowly slows us down."""
        self._socket.sendall(data)

    def has_input(self) -> bool:
        """Whether there is something to be read, if only that the peer has closed; without waiting."""
        try:
            self._socket.recv(1, MSG_PEEK | MSG_DONTWAIT)
        except BlockingIOError:
            return bool(self._unread)
        except OSError:
            pass
        return True

    def receive(self) -> "tuple[int, dict[str, str], bytes]":
        """Waits for a reply: its status, headers and body."""
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            if len(self._unread) > MAX_HEAD:
                raise ValueError(f"more than {MAX_HEAD} bytes of headers")
            self._fill(_Lost if not self._unread else OSError)
        head, self._unread = self._unread[:end], self._unread[end + 4 :]
        status, headers = parse_head(head)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return status, headers, self._chunks()
        length = headers.get("content-length")
        if length is None:
            return status, headers, self._rest()
        return status, headers, self._take(int(length))

    def close(self) -> None:
        self._socket.close()

    def _fill(self, ended: "type[OSError]" = OSError) -> None:
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except ConnectionError as error:
            raise ended(*error.args) from error
        if not data:
            raise ended("the connection was closed before the whole reply was there")
        self._unread += data

    def _take(self, size: int) -> bytes:
        if len(self._unread) < size:
            pieces, missing = [self._unread], size - len(self._unread)
            self._unread = b""
            while missing > 0:
                self._fill()
                pieces.append(self._unread[:missing])
                missing, self._unread = missing - len(pieces[-1]), self._unread[missing:]
            return b"".join(pieces)
        taken, self._unread = self._unread[:size], self._unread[size:]
        return taken

    def _line(self) -> bytes:
        while (end := self._unread.find(b"\r\n")) < 0:
            self._fill()
        line, self._unread = self._unread[:end], self._unread[end + 2 :]
        return line

    def _chunks(self) -> bytes:
        pieces = []
        while size := int(self._line().partition(b";")[0], 16):
            pieces.append(self._take(size))
            self._line()
        while self._line():
            pass  # trailers
        return b"".join(pieces)

    def _rest(self) -> bytes:
        """A body that ends with the connection."""
        pieces = [self._unread]
        self._unread = b""
        while data := self._socket.recv(RECEIVE_BYTES):
            pieces.append(data)
        return b"".join(pieces)


def response_path(request_id: str) -> str:
    return f"{VERSION}/runtime/invocation/{request_id}/response"


def refused(method: str, path: str, status: int, body: bytes) -> RuntimeApiError:
    said = " ".join(body[:1000].decode("utf-8", "replace").split())
    return RuntimeApiError(f"{method} {path}: status {status}, {said}")


def parse_head(head: bytes) -> "tuple[int, dict[str, str]]":
    """Status and headers. Raises ValueError."""
    first, *lines = head.decode("utf-8").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise ValueError(f"expected an HTTP/1.1 reply, got {first[:100]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" \t")
    return int(rest[:3]), headers


def _echo(invocation_id: str) -> "list[tuple[str, str]]":
    """Which attempt it was, said back to the platform where it told."""
    return [(INVOCATION_ID, invocation_id)] if invocation_id else []
