"""The sdk lane: OpenTelemetry's own span type and OTLP exporters, over a requests session."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from coldspan_extension import semconv
from coldspan_extension.config import Config
from coldspan_extension.export import Exported, Failed
from coldspan_extension.export.outcome import outcome_of, time_limit
from coldspan_extension.resource import SCOPE
from coldspan_extension.span import SERVER, Attributes, Span, clean_text, cleaned
from coldspan_extension.span import Link as OurLink
from coldspan_extension.urls import Url
from coldspan_wrapper import __version__

_SCOPE = InstrumentationScope(SCOPE, __version__, semconv.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

# The exporters log each attempt that fails. What comes of it is in our own log, once.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
logging.getLogger("opentelemetry").propagate = False


class HttpExporter:
    """OTLP/HTTP with protobuf bodies. Retries within the deadline are the official exporter's."""

    def __init__(self, config: Config, url: Url) -> None:
        self._config = config
        self._url = str(url)
        self._session = requests.Session()
        self._session.hooks["response"].append(self._remember)
        self._answer: requests.Response | None = None

    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported | Failed:
        timeout_s = time_limit(self._config.timeout_s, deadline_ns, time.time_ns())
        if timeout_s <= 0:
            return Failed(True, "no time left before the deadline")
        self._answer = None
        # One for each export, since its time limit is fixed when it is made; the session is what is costly.
        exporter = OTLPSpanExporter(
            endpoint=self._url,
            certificate_file=self._config.certificate or None,
            client_key_file=self._config.client_key or None,
            client_certificate_file=self._config.client_certificate or None,
            headers=self._config.headers,
            timeout=timeout_s,
            compression=Compression.Gzip if self._config.compression == "gzip" else Compression.NoCompression,
            session=self._session,
        )
        exporter.export(readable_spans(resource, spans))
        answer = self._answer
        if answer is None:
            return Failed(True, "no answer from the collector")
        return outcome_of(
            answer.status_code, answer.headers.get("Retry-After", ""), answer.content, len(spans), time.time()
        )

    def close_idle(self) -> None:
        self._session.close()

    def _remember(self, answer: requests.Response, *_: Any, **__: Any) -> None:
        """The exporter says no more than success or failure: the reason is in the answer."""
        self._answer = answer


class GrpcExporter:
    """OTLP/gRPC, where the layer was built --with-grpc. Raises ImportError where it was not."""

    def __init__(self, config: Config, url: Url) -> None:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter

        self._make = GrpcSpanExporter
        self._config = config
        self._endpoint = str(url)

    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported | Failed:
        timeout_s = time_limit(self._config.timeout_s, deadline_ns, time.time_ns())
        if timeout_s <= 0:
            return Failed(True, "no time left before the deadline")
        exporter = self._make(
            endpoint=self._endpoint,
            insecure=self._config.insecure or None,
            headers=_grpc_headers(self._config.headers),
            timeout=timeout_s,
        )
        try:
            result = exporter.export(readable_spans(resource, spans))
        finally:
            exporter.shutdown()
        if result is SpanExportResult.SUCCESS:
            return Exported(len(spans))
        return Failed(False, "the collector did not take the spans")

    def close_idle(self) -> None:
        """Nothing is kept: each export has its own channel, since gRPC's own threads do not survive a freeze well."""


def _grpc_headers(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in headers.items())


def readable_spans(attributes: Attributes, spans: list[Span]) -> list[ReadableSpan]:
    """OpenTelemetry's spans from ours. They share one Resource object: the encoder groups by it."""
    resource = Resource(cleaned(attributes), semconv.SCHEMA_URL)
    return [_readable(span, resource) for span in spans]


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    trace_id = int.from_bytes(span.trace_id, "big")
    # A plain mapping is all that the encoder needs: OpenTelemetry's own type drops what it would not have written.
    state: Any = dict(member.split("=", 1) for member in span.trace_state.split(",") if member)
    parent = None
    if span.parent_id:
        parent = SpanContext(trace_id, int.from_bytes(span.parent_id, "big"), span.parent_is_remote, _SAMPLED, state)
    return ReadableSpan(
        name=clean_text(span.name),
        context=SpanContext(trace_id, int.from_bytes(span.span_id, "big"), False, _SAMPLED, state),
        parent=parent,
        resource=resource,
        attributes=cleaned(span.attributes),
        events=[Event(clean_text(event.name), cleaned(event.attributes), event.time_ns) for event in span.events],
        links=[_link(link) for link in span.links],
        kind=SpanKind.SERVER if span.kind == SERVER else SpanKind.INTERNAL,
        status=Status(StatusCode.ERROR, clean_text(span.status_message) or None) if span.error else Status(),
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _link(link: OurLink) -> Link:
    trace_id, span_id = int.from_bytes(link.trace_id, "big"), int.from_bytes(link.span_id, "big")
    return Link(SpanContext(trace_id, span_id, False, _SAMPLED), cleaned(link.attributes))
