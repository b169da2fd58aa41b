"""An OTLP receiver that shares nothing with ours: OpenTelemetry's own gRPC service and messages, and http.server.

with OtlpReceiver(answers=[Refuse(503)]) as receiver:       # the first export is refused, all others accepted
    ...                                                     # OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint_http
    receiver.wait_for(lambda received: len(received.spans) == 4)
"""

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACES_PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"

# What an OTLP/gRPC server says where an OTLP/HTTP server answers with that status.
GRPC_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Accept:
    """Accepts, except for the spans it rejects: a partial success."""

    rejected_spans: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answers with that HTTP status, or its gRPC counterpart."""

    status: int
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """Does not answer before `until` is set, then accepts: a slow collector, and the test says how slow."""

    until: threading.Event


Answer = Accept | Refuse | Hang


@dataclass(frozen=True, slots=True)
class Received:
    """One export request, whatever was answered; header names are in lower case."""

    protocol: str  # "grpc" or "http/protobuf", as in OTEL_EXPORTER_OTLP_PROTOCOL
    headers: Mapping[str, str]
    body: ExportTraceServiceRequest
    accepted: bool
    time_unix_ns: int


@dataclass(frozen=True, slots=True)
class SpanReceived:
    """A span with its resource's attributes; both as plain data."""

    span: Span
    attributes: dict[str, object]
    resource: dict[str, object]


class OtlpReceiver:
    """Listens on 127.0.0.1 from `with` to its end. Each request takes the next of `answers`; after them all accept."""

    endpoint_http: str
    endpoint_grpc: str

    def __init__(self, answers: Iterable[Answer] = (), tls: ssl.SSLContext | None = None) -> None:
        """With `tls`, OTLP/HTTP is spoken over it."""
        self._tls = tls
        self._answers = iter(answers)
        self._changed = threading.Condition()
        self._received: list[Received] = []

    def __enter__(self) -> "OtlpReceiver":
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _http_handler(self._take))
        self._http.daemon_threads = True
        if self._tls is not None:
            self._http.socket = self._tls.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.endpoint_http = f"http{'s' if self._tls else ''}://127.0.0.1:{self._http.server_port}"
        self._grpc = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _GrpcService(self._take), self._grpc
        )
        self.endpoint_grpc = f"http://127.0.0.1:{self._grpc.add_insecure_port('127.0.0.1:0')}"
        self._grpc.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._grpc.stop(grace=None).wait()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def requests(self) -> list[Received]:
        """All requests so far, in order of arrival."""
        with self._changed:
            return list(self._received)

    @property
    def spans(self) -> list[SpanReceived]:
        """The spans of the accepted requests."""
        return [span for request in self.requests if request.accepted for span in spans_of(request.body)]

    def wait_for(self, condition: "Callable[[OtlpReceiver], bool]", timeout_s: float = 60.0) -> None:
        """Returns when the condition holds, looked at after each request. AssertionError when it never does."""
        with self._changed:
            met = self._changed.wait_for(lambda: condition(self), timeout_s)
        assert met, f"not met in {timeout_s} s by: {[span.span.name for span in self.spans]}"

    def _take(self, protocol: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises DecodeError for a body that is no export request."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            answer = next(self._answers, Accept())
        if isinstance(answer, Hang):
            answer.until.wait()
        with self._changed:
            self._received.append(Received(protocol, headers, request, not isinstance(answer, Refuse), time.time_ns()))
            self._changed.notify_all()
        return answer


def spans_of(request: ExportTraceServiceRequest) -> Iterator[SpanReceived]:
    for resource_spans in request.resource_spans:
        resource = attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield SpanReceived(span, attributes(span.attributes), resource)


def attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)


def _response(answer: Answer) -> ExportTraceServiceResponse:
    response = ExportTraceServiceResponse()
    if isinstance(answer, Accept) and (answer.rejected_spans or answer.message):
        response.partial_success.rejected_spans = answer.rejected_spans
        response.partial_success.error_message = answer.message
    return response


class _GrpcService(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, take: Callable[[str, Mapping[str, str], bytes], Answer]) -> None:
        self._take = take

    def Export(self, request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        answer = self._take("grpc", headers, request.SerializeToString())
        if isinstance(answer, Refuse):
            context.abort(GRPC_CODES[answer.status], "refused")
        return _response(answer)


def _http_handler(take: Callable[[str, Mapping[str, str], bytes], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            path = urlsplit(self.path).path  # whoever takes us for a proxy names the whole URL
            if path != TRACES_PATH or headers.get("content-type") != PROTOBUF:
                return self._answer(404 if path != TRACES_PATH else 415)
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            try:
                answer = take("http/protobuf", headers, body)
            except DecodeError:
                return self._answer(400)
            if isinstance(answer, Refuse):
                return self._answer(answer.status, b"refused", answer.retry_after_s)
            return self._answer(200, _response(answer).SerializeToString())

        def _answer(self, status: int, body: bytes = b"", retry_after_s: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", PROTOBUF)
            self.send_header("Content-Length", str(len(body)))
            if retry_after_s is not None:
                self.send_header("Retry-After", str(retry_after_s))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *line: object) -> None:
            """Silent: what arrived is in OtlpReceiver.requests."""

    return Handler
