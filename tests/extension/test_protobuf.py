"""Our OTLP encoder says what OpenTelemetry's own says, whatever the spans hold; and reads what a collector answers."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from coldspan_extension.export.protobuf import Corrupt, export_request, partial_success
from coldspan_extension.export.sdk import readable_spans
from coldspan_extension.span import INTERNAL, SERVER, Attributes, Event, Link, Span

# Lone surrogates, NUL, astral characters, and texts around the limits, not only letters.
texts = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(["", "x" * 5_000, "é" * 16_400, "\ud800"])
numbers = st.integers() | st.sampled_from([0, -1, 1 << 63, (1 << 63) - 1, -(1 << 63) - 1])
names = texts | st.sampled_from(["exception.stacktrace", "service.name"])
attributes = st.dictionaries(
    names, texts | numbers | st.booleans() | st.floats(allow_nan=False) | st.lists(texts, max_size=3), max_size=5
)
times = st.integers(0, (1 << 64) - 1)
nonzero = st.integers(1, 255)


@st.composite
def ids(draw: st.DrawFn, size: int) -> bytes:
    return bytes([draw(nonzero)]) + draw(st.binary(min_size=size - 1, max_size=size - 1))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    span = Span(
        draw(texts),
        draw(ids(16)),
        draw(ids(8)),
        draw(st.just(b"") | ids(8)),
        draw(times),
        draw(times),
        draw(attributes),
        draw(st.sampled_from([INTERNAL, SERVER])),
    )
    span.trace_state = draw(st.sampled_from(["", "a=b", "Upper=1,vendor@x=a=b"]))
    span.parent_is_remote = bool(span.parent_id) and draw(st.booleans())
    if draw(st.booleans()):
        span.fail("E", draw(texts))
    span.events = [Event(draw(texts), draw(times), draw(attributes)) for _ in range(draw(st.integers(0, 2)))]
    span.links = [Link(draw(ids(16)), draw(ids(8)), draw(attributes)) for _ in range(draw(st.integers(0, 2)))]
    return span


@settings(max_examples=300)
@given(attributes, st.lists(spans(), min_size=1, max_size=3))
def test_both_lanes_send_equal_messages(resource: Attributes, sent: list[Span]) -> None:
    ours = ExportTraceServiceRequest.FromString(export_request(resource, sent))
    assert ours == encode_spans(readable_spans(resource, sent))


@given(st.integers(0, (1 << 63) - 1), st.text())
def test_a_partial_success_is_read_as_it_was_written(rejected: int, message: str) -> None:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    assert partial_success(response.SerializeToString()) == (rejected, message)


def test_fields_of_later_versions_are_passed_over() -> None:
    later = bytes.fromhex("0a09 0802 1202 6f6b 1a01 78 5003 61 0102030405060708 6d 01020304".replace(" ", ""))
    assert partial_success(later) == (2, "ok")
    assert partial_success(b"") == (0, "")


@settings(max_examples=500)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_called_corrupt(body: bytes) -> None:
    try:
        partial_success(body)
    except Corrupt:
        with pytest.raises(DecodeError):
            ExportTraceServiceResponse.FromString(body)
