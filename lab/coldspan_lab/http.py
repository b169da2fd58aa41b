"""HTTP/1.1 over asyncio and h11: the lab's servers, and the client that delivers telemetry.

h11 keeps what a comfortable server hides and Lambda's APIs are specified by: a body that ends too early, chunks, the
moment at which a request began and a reply was written.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

import h11

from coldspan_lab import clock
from coldspan_lab.errors import PortUnavailable

MAX_HEAD = 1_048_576
"""Request line and headers together, bytes: the Runtime API's limit."""
READ_SIZE = 262_144
LOOPBACK = "127.0.0.1"
NO_BODY = (204, 304)
"""Statuses whose replies have none."""
KNOWN = frozenset(HTTPStatus)
"""Statuses that have a reason phrase."""


class BodyTruncated(Exception):
    """The peer closed the connection before the end of its body."""


class BodyTooLarge(Exception):
    """The body has more bytes than allowed."""


class BodyBroken(Exception):
    """A reply's body cannot be completed: the connection is closed, so that the peer sees that the end is missing."""


Pieces = AsyncGenerator[bytes, None]


class Request:
    """A request whose body is still to be read. Header names are lower case."""

    def __init__(self, event: h11.Request, connection: "_Connection") -> None:
        target = urlsplit(event.target.decode("ascii"))
        self.method = event.method.decode("ascii")
        self.raw_path = target.path
        self.path = unquote(target.path)
        self.query = target.query
        self.headers = _headers(event.headers)
        self.began_ns = clock.now_ns()
        self._connection = connection

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises BodyTooLarge for more than `limit` bytes, BodyTruncated."""
        parts: list[bytes] = []
        size = 0
        async for piece in self.pieces():
            size += len(piece)
            if size <= limit:
                parts.append(piece)
        if size > limit:
            raise BodyTooLarge
        return b"".join(parts)

    def pieces(self) -> Pieces:
        """The body as it comes; what is not asked for yet holds the peer up. Raises BodyTruncated."""
        return self._connection.read_body()

    @property
    def trailers(self) -> dict[str, str]:
        """The headers that came after a chunked body, once all of it was read."""
        return self._connection.trailers


class Response:
    """A reply. A body in pieces is sent chunked, as the pieces come; its generator is closed, whatever happens, and may
    raise BodyBroken. `written` is called once the last byte is on its way."""

    __slots__ = ("body", "headers", "status", "written")

    def __init__(
        self,
        status: int,
        body: "bytes | Pieces" = b"",
        headers: tuple[tuple[str, str], ...] = (),
        written: Callable[[], None] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.written = written


Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Serves one handler on a loopback port of its own."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        """`port` 0: any that is free."""
        self._handler = handler
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.address = ""

    async def start(self) -> None:
        """Listens; `address` is host:port from then on. Raises PortUnavailable."""
        try:
            self._server = await asyncio.start_server(self._accept, LOOPBACK, self._port, limit=READ_SIZE)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)  # asyncio's own text is longer
            raise PortUnavailable(f"port {self._port}: cannot listen on {LOOPBACK}: {reason}") from error
        self.address = f"{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Closes the port and every connection; requests being handled are cancelled."""
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await _Connection(reader, writer).serve(self._handler)
        except asyncio.CancelledError:
            # Only close() cancels, and it has collected us. Swallowed, since asyncio of Python 3.10 and 3.11 reports
            # the cancellation of a connection's task as an error.
            pass
        finally:
            self._connections.discard(task)
            writer.close()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self.trailers: dict[str, str] = {}

    async def serve(self, handler: Handler) -> None:
        try:
            while isinstance(event := await self._next_event(), h11.Request):
                self.trailers = {}
                await self._send(await handler(Request(event, self)), to_head=event.method == b"HEAD")
                if not await self._skip_body():
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                await self._send(Response(error.error_status_hint))
        except (ConnectionError, BodyBroken):
            pass  # the peer is gone, or is to see that we are; whoever waits for its process learns it from there

    async def read_body(self) -> Pieces:
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._writer.write(self._http.send(go_on) or b"")
        try:
            while isinstance(event := await self._next_event(), h11.Data):
                yield bytes(event.data)
        except (h11.RemoteProtocolError, ConnectionError) as error:
            raise BodyTruncated from error
        if isinstance(event, h11.EndOfMessage):
            self.trailers = _headers(event.headers)

    async def _next_event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(READ_SIZE))
        return event

    async def _send(self, response: Response, *, to_head: bool = False) -> None:
        whole = response.body
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers]
        if isinstance(whole, bytes):
            headers.append((b"Content-Length", b"%d" % len(whole)))
        head = h11.Response(status_code=response.status, headers=headers, reason=_reason(response.status))
        bodiless = to_head or response.status in NO_BODY
        if isinstance(whole, bytes):
            parts = (head, h11.Data(data=b"" if bodiless else whole), h11.EndOfMessage())
            self._writer.write(b"".join(self._http.send(part) or b"" for part in parts))
        else:
            await self._send_pieces(head, whole, bodiless=bodiless)
        if response.written is not None:
            response.written()
        await self._writer.drain()

    async def _send_pieces(self, head: h11.Response, body: Pieces, *, bodiless: bool) -> None:
        async with aclosing(body) as pieces:
            self._writer.write(self._http.send(head) or b"")
            async for piece in pieces:
                if not bodiless:
                    self._writer.write(self._http.send(h11.Data(data=piece)) or b"")
                    await self._writer.drain()
            self._writer.write(self._http.send(h11.EndOfMessage()) or b"")

    async def _skip_body(self) -> bool:
        """Reads what the handler left of the request; whether the connection can take another one."""
        while self._http.their_state is h11.SEND_BODY:
            await self._next_event()
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE


def _headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The values of a name that comes several times make one list (RFC 9110, 5.3), of cookies in their own form."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        separator = "; " if name == "cookie" else ","
        headers[name] = f"{headers[name]}{separator}{value}" if name in headers else value
    return headers


def _reason(status: int) -> str:
    return HTTPStatus(status).phrase if status in KNOWN else ""


class Client:
    """POSTs to one listener on loopback, over a connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._http: h11.Connection | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, path: str, headers: tuple[tuple[str, str], ...], body: bytes) -> int:
        """The status of the reply. Raises OSError where there is none; the connection is then made anew."""
        try:
            if self._http is None:
                self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
                self._http = h11.Connection(h11.CLIENT)
            status = await self._exchange(self._http, path, headers, body)
        except (OSError, h11.ProtocolError) as error:
            self.close()
            raise ConnectionError(str(error)) from error
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()
        return status

    async def _exchange(
        self, http: h11.Connection, path: str, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> int:
        assert self._reader is not None
        assert self._writer is not None
        head = [*headers, ("Content-Length", str(len(body)))]
        request = (h11.Request(method="POST", target=path, headers=head), h11.Data(data=body), h11.EndOfMessage())
        self._writer.write(b"".join(http.send(part) or b"" for part in request))
        await self._writer.drain()
        status = 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await self._reader.read(READ_SIZE))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                return status
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionError("closed before the reply")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._http = self._reader = self._writer = None
