import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from coldspan_extension.export.stdout import lines_of
from coldspan_extension.span import INTERNAL, SERVER, Event, Span
from coldspan_report import otlp

# The example of the OTLP specification, "opentelemetry-proto/examples/trace.json", with an event and a link.
SPECIFIED: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "my.library", "version": "1.0.0"},
                    "spans": [
                        {
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "parentSpanId": "eee19b7ec3c1b173",
                            "name": "I'm a server span",
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": "1544712661000000000",
                            "kind": 2,
                            "attributes": [
                                {"key": "count", "value": {"intValue": "5"}},
                                {"key": "share", "value": {"doubleValue": 0.5}},
                                {"key": "no", "value": {"boolValue": False}},
                                {"key": "some", "value": {"arrayValue": {"values": [{"stringValue": "a"}]}}},
                            ],
                            "events": [{"timeUnixNano": "1544712660500000000", "name": "exception"}],
                            "links": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00f067aa0ba902b7"}],
                            "status": {"code": 2},
                        }
                    ],
                }
            ],
        }
    ]
}


def with_ids(**ids: str) -> bytes:
    span = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", **ids}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def test_json_of_the_specification_is_read_and_written_as_it_stands() -> None:
    request = otlp.from_json(json.dumps(SPECIFIED).encode())
    (span,) = otlp.spans(request)
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert span.links[0].span_id.hex() == "00f067aa0ba902b7"
    assert json.loads(otlp.to_json(request)) == SPECIFIED


def test_an_export_is_one_line_that_begins_with_its_resource_spans() -> None:
    line = otlp.to_json(otlp.from_json(json.dumps(SPECIFIED).encode()))
    assert line.startswith('{"resourceSpans":[{"resource":')
    assert "\n" not in line
    assert line.isascii()


def test_a_line_of_the_layer_comes_out_as_the_layer_wrote_it() -> None:
    ids = bytes(range(16)), bytes(range(8))
    server = Span("fn", *ids, b"", 10**18, 10**18 + 5, {"faas.coldstart": True, "a": 1.5, "b": ["x"]}, SERVER)
    server.fail("ValueError", "böse")
    child = Span("handler", ids[0], bytes(range(1, 9)), ids[1], 10**18, 10**18 + 2, {"n": -7}, INTERNAL)
    child.events.append(Event("exception", 10**18 + 1, {"exception.type": "ValueError"}))
    (line,) = lines_of({"service.name": "fn"}, [server, child])
    assert json.loads(otlp.to_json(otlp.from_json(line.encode()))) == json.loads(line)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8), st.text(), st.integers(0, 2**64 - 1))
def test_both_encodings_say_the_same(trace_id: bytes, span_id: bytes, name: str, time: int) -> None:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.parent_span_id = trace_id, span_id, span_id
    span.name, span.start_time_unix_nano = name, time
    assert otlp.from_protobuf(request.SerializeToString()) == request
    assert otlp.from_json(otlp.to_json(request).encode()) == request


def test_unknown_fields_of_json_are_passed_over() -> None:
    assert not otlp.from_json(b'{"resourceSpans":[],"profiles":[1]}').resource_spans


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"null", b'{"resourceSpans":5}', b"[" * 100_000, with_ids(traceId="xyz"), with_ids(spanId="00")],
)
def test_what_is_no_json_export_is_undecodable(body: bytes) -> None:
    with pytest.raises(otlp.Undecodable):
        otlp.from_json(body)


def test_what_is_no_protobuf_export_is_undecodable() -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name="no ids")
    for body in (b"no protobuf", request.SerializeToString()):
        with pytest.raises(otlp.Undecodable):
            otlp.from_protobuf(body)
