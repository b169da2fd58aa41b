"""Lambda's Extensions API and the subscription to its Telemetry API, over one connection."""

import _socket

from coldspan_extension import http1, json1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "coldspan"
"""The extension's registered name: the file name in /opt/extensions."""

EXTENSION = "/2020-01-01/extension"
TELEMETRY = "/2022-07-01/telemetry"
SCHEMA_VERSIONS = ("2025-01-29", "2022-12-13")
"""The newer one is the only one that managed instances accept; an older service answers 400 to it."""


class ApiError(Exception):
    """The API answered something else than it should, or nothing; the message has the status and body."""


class Event:
    """What event/next returned. `received_ns` is when its last byte was read, Unix ns."""

    __slots__ = ("received_ns", "record")

    def __init__(self, record: "dict[str, Any]", received_ns: int) -> None:
        self.record = record
        self.received_ns = received_ns

    @property
    def is_shutdown(self) -> bool:
        return self.record.get("eventType") == "SHUTDOWN"

    @property
    def deadline_ns(self) -> int:
        return int(self.record.get("deadlineMs", 0)) * 1_000_000


class ExtensionsApi:
    """One extension's connection. `address` is AWS_LAMBDA_RUNTIME_API, host:port."""

    def __init__(self, address: str) -> None:
        self.identifier = ""
        self.registration: dict[str, Any] = {}
        self.is_waiting = False
        """event/next was asked for and not answered yet. A second one would be refused, and the event be lost."""
        self.is_shut_down = False
        """There is no next event: the one that ends the environment has come."""
        self._address = address
        self._socket: _socket.socket | None = None
        self._reader = http1.Reader()

    def adopt(self, descriptor: int, identifier: str, registration: bytes) -> None:
        """Goes on where the start script registered: its connection, its identifier, the reply's body."""
        self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, descriptor)
        self.identifier = identifier
        self._remember(registration)

    def register(self, events: bytes) -> None:
        """`events` is a JSON list. Raises ApiError, OSError."""
        headers = [("Lambda-Extension-Name", NAME), ("Lambda-Extension-Accept-Feature", "accountId")]
        reply = self._call("POST", f"{EXTENSION}/register", headers, b'{"events":%b}' % events)
        if reply.status != 200:
            raise ApiError(f"register: {reply.status} {reply.body[:500]!r}")
        self.identifier = reply.headers.get("lambda-extension-identifier", "")
        self._remember(reply.body)

    def subscribe(self, port: int) -> int:
        """Asks for platform events at our port. Returns the status: 200, or why there is no telemetry (202: the
        emulator has none). Raises OSError."""
        status = 0
        for version in SCHEMA_VERSIONS:
            destination = f'{{"protocol":"HTTP","URI":"http://sandbox.localdomain:{port}/"}}'
            body = (
                f'{{"schemaVersion":"{version}","types":["platform"],'
                f'"buffering":{{"maxItems":1000,"maxBytes":262144,"timeoutMs":25}},"destination":{destination}}}'
            )
            status = self._call("PUT", TELEMETRY, self._identity(), body.encode()).status
            if status != 400:
                break
        return status

    def ask_next(self) -> None:
        """Sends event/next; the reply comes when there is an event. Raises OSError."""
        self._send(http1.request("GET", f"{EXTENSION}/event/next", self._address, self._identity()))
        self.is_waiting = True

    def fileno(self) -> int:
        assert self._socket is not None
        return self._socket.fileno()

    def read_next(self, now_ns: int) -> "Event | None":
        """The event, once its reply is complete: call it when the connection is readable. Raises ApiError, OSError."""
        reply = self._receive()
        if reply is None:
            return None
        self.is_waiting = False
        if reply.status != 200:
            raise ApiError(f"event/next: {reply.status} {reply.body[:500]!r}")
        try:
            record = json1.loads(reply.body)
        except ValueError as error:
            raise ApiError(f"event/next: {error}") from error
        if not isinstance(record, dict):
            raise ApiError(f"event/next: {reply.body[:500]!r}, expected a JSON object")
        event = Event(record, now_ns)
        self.is_shut_down = event.is_shutdown
        return event

    def disconnect(self) -> None:
        """Forgets the connection; the next call makes a new one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._reader = http1.Reader()
        self.is_waiting = False

    def _call(self, method: str, path: str, headers: "list[tuple[str, str]]", body: bytes) -> http1.Message:
        self._send(http1.request(method, path, self._address, headers, body))
        while True:
            reply = self._receive()
            if reply is not None:
                return reply

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            host, _, port = self._address.rpartition(":")
            self._socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
            self._socket.connect((host, int(port)))
        self._socket.sendall(data)

    def _receive(self) -> "http1.Message | None":
        assert self._socket is not None
        data = self._socket.recv(65536)
        if not data:
            raise ApiError("the API closed the connection")
        try:
            return self._reader.feed(data)
        except http1.BadMessage as error:
            raise ApiError(str(error)) from error

    def _identity(self) -> "list[tuple[str, str]]":
        return [("Lambda-Extension-Identifier", self.identifier)]

    def _remember(self, registration: bytes) -> None:
        try:
            record = json1.loads(registration)
        except ValueError:
            return  # only the account id would be had from it
        if isinstance(record, dict):
            self.registration = record
