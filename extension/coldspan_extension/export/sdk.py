"""The sdk lane: OpenTelemetry's own span type and OTLP exporters, over a requests session."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from coldspan_extension import semconv
from coldspan_extension.config import Config
from coldspan_extension.export import Exported, Failed
from coldspan_extension.resource import SCOPE
from coldspan_extension.span import SERVER, Attributes, Span, clean
from coldspan_extension.span import Link as OurLink
from coldspan_wrapper import __version__

RETRYABLE = frozenset((429, 502, 503, 504))
"""The statuses that OTLP/HTTP allows to retry (OTLP specification, Retryable Response Codes)."""

MAX_EXPORT_S = 3.0
"""Most that one export may take, however much time is left: it is billed, and a collector that is down would take all
of it. What did not arrive is tried again later."""

_SCOPE = InstrumentationScope(SCOPE, __version__, semconv.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

# The exporters log each attempt that fails. What comes of it is in our own log, once.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
logging.getLogger("opentelemetry").propagate = False


class HttpExporter:
    """OTLP/HTTP with protobuf bodies. Retries within the deadline are the official exporter's."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session = requests.Session()
        self._session.hooks["response"].append(self._remember)
        self._answer: requests.Response | None = None
        self._spans = _SpanFactory()

    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported | Failed:
        timeout_s = _time_limit(self._config.timeout_s, deadline_ns)
        if timeout_s <= 0:
            return Failed(True, "no time left before the deadline")
        self._answer = None
        # One for each export, since its time limit is fixed when it is made; the session is what is costly.
        exporter = OTLPSpanExporter(
            endpoint=self._config.traces_url,
            certificate_file=self._config.certificate or None,
            client_key_file=self._config.client_key or None,
            client_certificate_file=self._config.client_certificate or None,
            headers=self._config.headers,
            timeout=timeout_s,
            compression=Compression.Gzip if self._config.compression == "gzip" else Compression.NoCompression,
            session=self._session,
        )
        result = exporter.export(self._spans.readable(resource, spans))
        return _outcome(result, self._answer, len(spans))

    def close_idle(self) -> None:
        self._session.close()

    def _remember(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        """The exporter says no more than success or failure: the reason is in the answer."""
        self._answer = answer


def _time_limit(timeout_s: float, deadline_ns: int) -> float:
    """Seconds for one export; not positive where there is no time left."""
    return min(timeout_s, MAX_EXPORT_S, (deadline_ns - time.time_ns()) / 1e9)


def _outcome(result: SpanExportResult, answer: requests.Response | None, count: int) -> Exported | Failed:
    if answer is None:
        return Failed(True, "no answer from the collector")
    if 200 <= answer.status_code < 300 and result is SpanExportResult.SUCCESS:
        rejected, message = _partial_success(answer.content)
        return Exported(count - rejected, rejected, message)
    retry_after = answer.headers.get("Retry-After", "")
    return Failed(
        answer.status_code in RETRYABLE,
        f"HTTP {answer.status_code} {answer.text[:200]}".strip(),
        float(retry_after) if retry_after.isdigit() else None,
    )


def _partial_success(body: bytes) -> tuple[int, str]:
    """Spans that the collector rejected, and its message; none where the body says nothing of it."""
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except Exception:  # protobuf's DecodeError, and what a JSON body makes of it
        return 0, ""
    return partial.rejected_spans, partial.error_message


class GrpcExporter:
    """OTLP/gRPC, where the layer was built --with-grpc. Raises ImportError where it was not."""

    def __init__(self, config: Config) -> None:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

        self._make = GrpcSpanExporter
        self._config = config
        self._spans = _SpanFactory()

    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported | Failed:
        timeout_s = _time_limit(self._config.timeout_s, deadline_ns)
        if timeout_s <= 0:
            return Failed(True, "no time left before the deadline")
        exporter = self._make(
            endpoint=self._config.endpoint,
            insecure=self._config.insecure or None,
            headers=_grpc_headers(self._config.headers),
            timeout=timeout_s,
        )
        try:
            result = exporter.export(self._spans.readable(resource, spans))
        finally:
            exporter.shutdown()
        if result is SpanExportResult.SUCCESS:
            return Exported(len(spans))
        return Failed(False, "the collector did not take the spans")

    def close_idle(self) -> None:
        """Nothing is kept: each export has its own channel, since gRPC's own threads do not survive a freeze well."""


def _grpc_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers.items())


class _SpanFactory:
    """OpenTelemetry's spans from ours. One Resource object serves all exports: the encoder groups spans by it."""

    def __init__(self) -> None:
        self._attributes: Attributes | None = None
        self._resource = Resource({})

    def readable(self, attributes: Attributes, spans: list[Span]) -> list[ReadableSpan]:
        if self._attributes != attributes:
            self._attributes = attributes
            self._resource = Resource(_clean(attributes), semconv.SCHEMA_URL)
        return [self._readable(span) for span in spans]

    def _readable(self, span: Span) -> ReadableSpan:
        trace_id = int.from_bytes(span.trace_id, "big")
        state = TraceState.from_header([span.trace_state]) if span.trace_state else None
        parent = None
        if span.parent_id:
            parent_id = int.from_bytes(span.parent_id, "big")
            parent = SpanContext(trace_id, parent_id, span.parent_is_remote, _SAMPLED, state)
        return ReadableSpan(
            name=str(clean(span.name)),
            context=SpanContext(trace_id, int.from_bytes(span.span_id, "big"), False, _SAMPLED, state),
            parent=parent,
            resource=self._resource,
            attributes=_clean(span.attributes),
            events=[Event(event.name, _clean(event.attributes), event.time_ns) for event in span.events],
            links=[_link(link) for link in span.links],
            kind=SpanKind.SERVER if span.kind == SERVER else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, str(clean(span.status_message)) or None) if span.error else Status(),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=_SCOPE,
        )


def _link(link: OurLink) -> Link:
    trace_id, span_id = int.from_bytes(link.trace_id, "big"), int.from_bytes(link.span_id, "big")
    return Link(SpanContext(trace_id, span_id, False, _SAMPLED), _clean(link.attributes))


def _clean(attributes: Attributes) -> dict[str, Any]:
    long = (semconv.EXCEPTION_STACKTRACE,)
    return {key: clean(value, 16_384 if key in long else 4_096) for key, value in attributes.items()}
