"""One invocation on its way through an environment, and the headers, events and errors that Lambda renders for it."""

import asyncio
import json
import secrets
import uuid
from asyncio import Future
from dataclasses import dataclass, field, replace

from coldspan_lab import clock
from coldspan_lab.model import Answer
from coldspan_lab.response_stream import ResponseStream, StreamEnd

LOG_TAIL_SIZE = 4096
UNHANDLED = "Unhandled"


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller sends."""

    payload: bytes = b"{}"
    client_context: str | None = None
    """Plain JSON text."""
    trace_header: str | None = None
    tenant_id: str | None = None
    wants_log_tail: bool = False
    """Then the answer, or its end, waits for REPORT, the log's last line."""
    wants_stream: bool = False
    """A response that the runtime streams is passed on as it comes; for others it is collected."""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True, eq=False)
class Invocation:
    """Instants are CLOCK_MONOTONIC ns, and 0 until they happen."""

    call: Call
    arn: str
    answer: "Future[Answer]"
    trace_header: str
    began_ns: int = 0
    deadline_ns: int = 0
    deadline_ms: int = 0
    """The deadline in Unix ms, the same for the runtime and the extensions."""
    sent_ns: int = 0
    response_began_ns: int = 0
    response_read_ns: int = 0
    response_sent_ns: int = 0
    produced_bytes: int = 0
    runtime_ready_ns: int = 0
    extensions_ready_ns: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its environment is free again."""
    _answer: Answer | None = None
    _stream: ResponseStream | None = None
    _stream_end: StreamEnd | None = None
    _log: bytearray = field(default_factory=bytearray)

    @property
    def request_id(self) -> str:
        return self.call.request_id

    def begin(self, timeout_s: float) -> None:
        """From here on the function timeout runs."""
        self.began_ns = clock.now_ns()
        self.deadline_ns = self.began_ns + int(timeout_s * 1_000_000_000)
        self.deadline_ms = clock.unix_ns(self.deadline_ns) // 1_000_000

    def log(self, text: str) -> None:
        self._log += text.encode("utf-8", "replace") + b"\n"
        del self._log[:-LOG_TAIL_SIZE]

    def respond(self, payload: bytes, function_error: str | None) -> None:
        """Decides the answer; the first decision stays."""
        self._decide(Answer(200, payload, function_error, self.request_id, self.trace_header))

    def open_stream(self, content_type: str) -> ResponseStream:
        """Answers a caller that wants the response as it comes. If it was answered before, nobody reads the stream."""
        stream = ResponseStream(content_type)
        if self._answer is not None or self.answer.done():
            stream.abandon()
            return stream
        self._stream = stream
        self._answer = Answer(200, b"", None, self.request_id, self.trace_header, stream=stream)
        self._deliver(self._answer)
        return stream

    def end_stream(self, error_type: str | None = None, error: bytes = b"") -> None:
        """Decides how the stream ends; the first decision stays."""
        if self._stream_end is None:
            self._stream_end = StreamEnd(error_type, error)
            if self._stream is not None and not self.call.wants_log_tail:
                self._stream.end(self._stream_end)

    def fail(self, error_type: str, message: str) -> None:
        """Answers with an error of the platform's own."""
        self.fail_as_it_is(error_type, f"RequestId: {self.request_id} Error: {message}")

    def fail_as_it_is(self, error_type: str, message: str) -> None:
        """As `fail`, with this very message. A response that is being streamed ends with it."""
        body = error_body(error_type, message)
        if self._stream is not None:
            self.end_stream(error_type, body)
        else:
            self.respond(body, UNHANDLED)

    def give_up(self, failure: Exception) -> None:
        """The lab itself has failed."""
        if self._stream is not None:
            self.fail_as_it_is("Sandbox.Failure", str(failure))
        else:
            self.answer.set_exception(failure)

    def refuse(self, status: int, exception: str, message: str) -> None:
        """Answers with an exception of the Invoke API: the function was not invoked."""
        body = json.dumps({"Type": "User", "Message": message}).encode()
        self._decide(Answer(status, body, None, self.request_id, None, exception=exception))

    def finish(self) -> None:
        """The environment is through with it: an answer or an end that waited for the log is delivered."""
        if self._stream is not None:
            self.fail("Sandbox.Failure", "given up")  # of which nothing comes where its end was decided
            assert self._stream_end is not None
            self._stream.end(replace(self._stream_end, log_tail=bytes(self._log)))
        elif self._answer is not None and self.call.wants_log_tail:
            self._deliver(replace(self._answer, log_tail=bytes(self._log)))
        self.ended.set()

    @property
    def answered(self) -> bool:
        """Whether the caller has all of its answer."""
        return self.answer.done() and (self._stream is None or self._stream.ended)

    def _decide(self, answer: Answer) -> None:
        if self._answer is None:
            self._answer = answer
            if not self.call.wants_log_tail:
                self._deliver(answer)

    def _deliver(self, answer: Answer) -> None:
        if not self.answer.done():  # its caller may have gone away
            self.answer.set_result(answer)


def new_trace_header(unix_s: int) -> str:
    """What Lambda makes up for a caller that sent no X-Amzn-Trace-Id: an unsampled X-Ray trace."""
    return f"Root=1-{unix_s:08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0"


def error_body(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}, separators=(",", ":")).encode()


def runtime_headers(invocation: Invocation) -> tuple[tuple[str, str], ...]:
    """The headers of the runtime's invocation/next."""
    headers = [
        ("Lambda-Runtime-Aws-Request-Id", invocation.request_id),
        ("Lambda-Runtime-Deadline-Ms", str(invocation.deadline_ms)),
        ("Lambda-Runtime-Invoked-Function-Arn", invocation.arn),
        ("Lambda-Runtime-Trace-Id", invocation.trace_header),
        ("Content-Type", "application/json"),
    ]
    if invocation.call.client_context is not None:
        headers.append(("Lambda-Runtime-Client-Context", invocation.call.client_context))
    if invocation.call.tenant_id is not None:
        headers.append(("Lambda-Runtime-Aws-Tenant-Id", invocation.call.tenant_id))
    return tuple(headers)


def tracing(invocation: Invocation) -> dict[str, str]:
    return {"type": "X-Amzn-Trace-Id", "value": invocation.trace_header}


def invoke_event(invocation: Invocation) -> bytes:
    """The INVOKE event of the Extensions API."""
    event = {
        "eventType": "INVOKE",
        "deadlineMs": invocation.deadline_ms,
        "requestId": invocation.request_id,
        "invokedFunctionArn": invocation.arn,
        "tracing": tracing(invocation),
    }
    return json.dumps(event, separators=(",", ":")).encode()
