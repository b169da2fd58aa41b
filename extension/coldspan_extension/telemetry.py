"""The listener that Lambda pushes telemetry batches to. Bodies are kept as they came; whoever assembles parses them."""

import _socket

from coldspan_extension import http1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldspan_extension.poller import Poller

PORTS = 4
"""A port in use gives way to the next, up to this many, always in the same order: after a reset the subscription of
the previous process may still be in force, and must find us again."""

MAX_CONNECTIONS = 16
"""Lambda delivers over one; whoever opens more of them in this environment costs the oldest one."""

MAX_KEPT = 4194304
"""Bytes of batches kept until assembly; what comes beyond is dropped and counted."""

# 200 even for a batch that we cannot read: on any other status it would be sent again.
_ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Listener:
    """Takes batches in whenever the poller runs."""

    def __init__(self, host: str, port: int, poller: "Poller") -> None:
        """Raises OSError where none of the ports can be had."""
        self.dropped = 0
        self._batches: list[bytes] = []
        self._size = 0
        self._poller = poller
        self._connections: list[_socket.socket] = []
        self._socket, self.port = _listen(host, port)
        self._socket.setblocking(False)
        poller.add(self._socket.fileno(), self._accept)

    def take(self) -> "list[bytes]":
        """The bodies that came since the last call: JSON lists of events."""
        batches, self._batches, self._size = self._batches, [], 0
        return batches

    def _accept(self) -> None:
        if len(self._connections) == MAX_CONNECTIONS:
            self._close(self._connections[0])
        try:
            descriptor, _ = self._socket._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return  # the peer gave up meanwhile
        except OSError:  # no descriptor left: without an end, the one that waits would wake us for ever
            if self._connections:
                self._close(self._connections[0])
            else:
                self._poller.remove(self._socket.fileno())
            return
        connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, descriptor)
        connection.setblocking(False)
        self._connections.append(connection)
        reader = http1.Reader()
        self._poller.add(descriptor, lambda: self._read(connection, reader))

    def _read(self, connection: "_socket.socket", reader: http1.Reader) -> None:
        try:
            data = connection.recv(262144)
            message = reader.feed(data) if data else None
            while message is not None:
                self._keep(message.body)
                connection.send(_ACCEPTED)
                message = reader.feed(b"")
        except BlockingIOError:
            return
        except Exception:  # not HTTP, or gone: any process of the environment can send us anything
            data = b""
        if not data:
            self._close(connection)

    def _close(self, connection: "_socket.socket") -> None:
        self._connections.remove(connection)
        self._poller.remove(connection.fileno())
        connection.close()

    def _keep(self, body: bytes) -> None:
        if self._size + len(body) > MAX_KEPT:
            self.dropped += 1
        else:
            self._batches.append(body)
            self._size += len(body)


def _listen(host: str, port: int) -> "tuple[_socket.socket, int]":
    for candidate in range(port, port + PORTS):
        listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        listening.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
            listening.listen(8)
        except OSError as error:
            listening.close()
            failure = error
            continue
        return listening, candidate
    raise failure
