"""A response that goes out while the handler makes it: one chunk for each write, blocking until the kernel took it.

The request of the response begins with the first byte; until then an error is reported like any other. After it, an
error follows the body in trailers. The connection ends with the response, as the Runtime API wants it.
"""

import time
from binascii import b2a_base64

from coldspan_wrapper.runtime.api import ERROR_TYPE, INVOCATION_ID, RuntimeApiError, refused, response_path
from coldspan_wrapper.runtime.encoding import to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any

    from coldspan_wrapper.recorder import Recorder
    from coldspan_wrapper.runtime.api import RuntimeApi

ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
PLAIN, HTTP = "application/octet-stream", "application/vnd.awslambda.http-integration-response"
END_OF_PRELUDE = bytes(8)
MAX_ERROR = 262_144
"""Characters of an error in trailers; of a longer one, the type goes alone."""

Chunk = str | bytes | bytearray | memoryview


class ResponseStreamBroken(BrokenPipeError):
    """The Runtime API takes no more of this response. That the caller has gone is no reason for it: Lambda reads on."""


class ResponseStream:
    """What a handler with a parameter `response_stream` writes its response to: a file, of bytes or text.

    `content_type` may be set before the first byte; `start_http` makes it the response of a function URL.
    """

    def __init__(self, api: "RuntimeApi", request_id: str, invocation_id: str, recorder: "Recorder") -> None:
        self.content_type = PLAIN
        self.closed = False
        self.has_begun = False
        self.size = 0
        self.problem = ""
        self.ended_ns = 0
        self._api = api
        self._path = response_path(request_id)
        self._invocation_id = invocation_id
        self._recorder = recorder

    def start_http(
        self,
        status_code: int = 200,
        headers: "dict[str, str] | None" = None,
        cookies: "list[str] | None" = None,
    ) -> None:
        """Begins the response of a function URL with its status, headers and cookies (`name=value; attributes`)."""
        self.put({"statusCode": status_code, "headers": headers or {}, "cookies": cookies or []})

    def put(self, item: "Chunk | dict[str, Any]") -> None:
        """One item of a generator: a chunk, or first of all a dict with `statusCode`, and perhaps `headers` and
        `cookies`, of a function URL's response."""
        if not isinstance(item, dict):
            self.write(item)
            return
        if self.has_begun or "statusCode" not in item or "body" in item:
            raise TypeError("a dict comes first in a streamed response, with statusCode and without a body")
        self.content_type = HTTP
        self._send(to_json(item).encode() + END_OF_PRELUDE)

    def write(self, chunk: Chunk) -> int:
        """Sends it. Raises ResponseStreamBroken, and ValueError when the stream is closed."""
        data = chunk.encode() if isinstance(chunk, str) else chunk
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"a streamed response takes str or bytes, not {type(chunk).__name__}")
        size = data.nbytes if isinstance(data, memoryview) else len(data)
        if self.closed:
            raise ValueError("write to closed response stream")
        if size:  # an empty chunk would be the end
            self._send(data, size)
        return len(chunk)

    def writelines(self, chunks: "Iterable[Chunk]") -> None:
        for chunk in chunks:
            self.write(chunk)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Ends the response. The handler may go on; what it raises then reaches no caller."""
        if not self.closed:
            self.finish()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    seekable = isatty = readable

    def __enter__(self) -> "ResponseStream":
        return self

    def __exit__(
        self, of_type: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        if error is None:  # else the runtime ends it, with the error
            self.close()

    def finish(self, error_type: str = "", report: str = "") -> None:
        """Ends the response, with an error if there is one, and waits until it was accepted. Where it is not, `problem`
        says why."""
        if not self.has_begun:
            self._begin()
        if self.closed:
            return
        self.closed = True
        end = b"0\r\n"
        if error_type:
            body = b2a_base64(report.encode() if len(report) <= MAX_ERROR else b"", newline=False).decode()
            end += f"{ERROR_TYPE}: {error_type}\r\n{ERROR_BODY}: {body}\r\n".encode()
        try:
            self._connection.send(end + b"\r\n")
        except OSError as error:
            self._give_up(error)
        else:
            self._read_reply()
        self._api.close()
        self.ended_ns = time.monotonic_ns()

    def _send(self, data: "bytes | bytearray | memoryview", size: int = 0) -> None:
        size = size or len(data)
        chunk = b"".join((b"%x\r\n" % size, data, b"\r\n"))
        if not self.has_begun:
            self._begin(chunk)
        elif self._connection.has_input():  # an answer before the end: it is refused
            self._give_up(OSError("the connection was closed"))
        else:
            self._transmit(chunk)
        self.size += size
        if self.problem:
            raise ResponseStreamBroken(self.problem)

    def _begin(self, first: bytes = b"") -> None:
        headers = [
            ("Content-Type", self.content_type),
            ("Lambda-Runtime-Function-Response-Mode", "streaming"),
            ("Transfer-Encoding", "chunked"),
            ("Trailer", f"{ERROR_TYPE}, {ERROR_BODY}"),
            ("Connection", "close"),
        ]
        if self._invocation_id:
            headers.append((INVOCATION_ID, self._invocation_id))
        try:
            self._connection = self._api.connection()
        except OSError as error:
            raise RuntimeApiError(f"POST {self._path}: {error}") from error
        self.has_begun = True
        began_ns = time.monotonic_ns()
        self._transmit(self._api.head("POST", self._path, headers) + first)
        self._recorder.stream_began(began_ns)

    def _transmit(self, data: bytes) -> None:
        try:
            self._connection.send(data)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """The API may have said why, before it closed the connection."""
        self.closed = True
        if self._connection.has_input():
            self._read_reply()
        self.problem = self.problem or f"ResponseStreamBroken: POST {self._path}: {error}"
        self._api.close()
        self.ended_ns = time.monotonic_ns()

    def _read_reply(self) -> None:
        try:
            status, _, body = self._connection.receive()
        except (OSError, ValueError) as error:
            self.problem = f"ResponseStreamBroken: POST {self._path}: {error}"
        else:
            if not 200 <= status < 300:
                self.problem = f"ResponseStreamBroken: {refused('POST', self._path, status, body)}"


def iterate(items: "Any", stream: ResponseStream) -> None:
    """Sends each item as soon as it is there. The generator is closed where the response is broken."""
    try:
        for item in items:
            stream.put(item)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
