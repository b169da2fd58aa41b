"""An HTTP peer that answers in the bytes it was told to, over TLS where it was given a context.

with HttpPeer([[OK, OK], [OK]]) as peer:    # two answers on the first connection, which then ends; one on the second
    ...                                     # peer.url; afterwards peer.requests, as (connection, head, body)
"""

import socket
import ssl
import threading
from collections.abc import Sequence

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class HttpPeer:
    """Each connection takes the next of `connections`: for every request on it one answer, sent piece by piece where it
    is a list. After its last answer the peer closes, without a word of it before."""

    def __init__(
        self,
        connections: Sequence[Sequence[bytes | list[bytes]]],
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.requests: list[tuple[int, bytes, bytes]] = []
        self.resumed: list[bool] = []
        self._connections = connections
        self._tls = tls
        self._listening = socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=8
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "HttpPeer":
        host, port, *_ = self._listening.getsockname()
        host = f"[{host}]" if ":" in host else "localhost" if self._tls else host
        self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        for number, answers in enumerate(self._connections):
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # closed
            try:
                with connection:
                    connection.settimeout(10)
                    self._answer(number, connection, answers)
            except OSError:
                pass  # the client left, or would not have our certificate

    def _answer(self, number: int, connection: socket.socket, answers: Sequence[bytes | list[bytes]]) -> None:
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
            self.resumed.append(bool(connection.session_reused))
        with connection, connection.makefile("rb") as reading:
            for answer in answers:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = reading.readline()
                    if not line:
                        return
                    head += line
                sizes = (line[15:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
                size = int(next(sizes, 0))  # a GET has no body
                self.requests.append((number, head, reading.read(size)))
                for piece in answer if isinstance(answer, list) else [answer]:
                    connection.sendall(piece)
