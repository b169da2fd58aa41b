"""The tests' Jaeger does find what is wrong with a trace."""

import secrets
import time

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from coldspan_testing.jaeger import Jaeger, Trace


def export(offset_ms: int) -> ExportTraceServiceRequest:
    """A parent of 20 ms, and a child of 10 ms on another host that begins so much later."""
    request = ExportTraceServiceRequest()
    trace_id, parent_id, begin = secrets.token_bytes(16), secrets.token_bytes(8), time.time_ns()
    for host, name, start, duration_ms in (
        ("a", "parent", begin, 20),
        ("b", "child", begin + offset_ms * 1_000_000, 10),
    ):
        sent = request.resource_spans.add()
        for key, value in (("service.name", f"offset{offset_ms}"), ("host.id", host)):
            attribute = sent.resource.attributes.add(key=key)
            attribute.value.string_value = value
        span = sent.scope_spans.add().spans.add(name=name, trace_id=trace_id)
        span.span_id = parent_id if name == "parent" else secrets.token_bytes(8)
        span.parent_span_id = b"" if name == "parent" else parent_id
        span.start_time_unix_nano, span.end_time_unix_nano = start, start + duration_ms * 1_000_000
    return request


@pytest.mark.parametrize(("offset_ms", "warnings"), [(5, 0), (15, 1)])
def test_a_child_outside_of_its_parent_is_a_warning_in_both_apis(offset_ms: int, warnings: int) -> None:
    with Jaeger() as jaeger:
        body = export(offset_ms).SerializeToString()
        headers = {"Content-Type": "application/x-protobuf"}
        assert requests.post(f"{jaeger.endpoint_http}/v1/traces", body, headers=headers, timeout=10).ok

        def whole(traces: list[Trace]) -> bool:
            return [len(trace.spans) for trace in traces] == [2]

        (trace,) = jaeger.traces(f"offset{offset_ms}", whole)
        assert trace.edges == {("", "parent"), ("parent", "child")}
        assert len(trace.warnings) == len(jaeger.warnings_of_v2(trace)) == warnings
