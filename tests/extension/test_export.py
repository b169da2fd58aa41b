"""The way out: every lane and protocol carries the same spans, and what the collector says is understood."""

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from google.protobuf.json_format import MessageToDict

from coldspan_extension.config import LEAN, SDK, parse
from coldspan_extension.export import Exported, Exporter, Failed
from coldspan_extension.export.lane import make_exporter
from coldspan_extension.export.outcome import outcome_of
from coldspan_extension.export.stdout import MAX_LINE, lines_of
from coldspan_extension.export.worker import Batch, Worker
from coldspan_extension.log import Log
from coldspan_extension.span import SERVER, Attributes, Event, Link, Span
from coldspan_testing.otlp_receiver import Accept, Hang, OtlpReceiver, Refuse
from coldspan_testing.ports import nobody_listens

RESOURCE: Attributes = {"service.name": "fn", "faas.max_memory": 1 << 40, "aws.log.group.names": ["/aws/lambda/fn"]}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
every_lane = pytest.mark.parametrize("lane", [SDK, LEAN])


Make = Callable[..., Exporter]


@pytest.fixture
def make() -> Iterator[Make]:
    """make(lane, endpoint, **environ): an exporter whose connection is closed after the test."""
    made: list[Exporter] = []

    def make(lane: str, endpoint: str, **environ: str) -> Exporter:
        made.append(make_exporter(parse({ENDPOINT: endpoint, **environ}), lane, Log("none")))
        return made[-1]

    yield make
    for exporter in made:
        exporter.close_idle()


def deadline(seconds: float = 10.0) -> int:
    return time.time_ns() + int(seconds * 1e9)


def some_spans() -> list[Span]:
    parent = bytes(range(8))
    server = Span("fn", bytes(range(16)), b"serverid", parent, 1_000, 9_000, {"faas.coldstart": True}, SERVER)
    server.trace_state, server.parent_is_remote = "a=b", True
    server.fail("ValueError", "no luck")
    server.links.append(Link(bytes(range(16, 32)), b"theinit!", {"coldspan.link.type": "init"}))
    handler = Span("handler", bytes(range(16)), b"handleri", b"serverid", 2_000, 3_000, {"n": 1, "f": 0.5, "s": "x"})
    handler.events.append(Event("exception", 2_500, {"exception.type": "ValueError"}))
    return [server, handler]


@pytest.mark.parametrize(("lane", "protocol"), [(SDK, "http/protobuf"), (SDK, "grpc"), (LEAN, "http/protobuf")])
def test_every_field_of_a_span_arrives(lane: str, protocol: str, make: Make) -> None:
    with OtlpReceiver() as receiver:
        endpoint = receiver.endpoint_grpc if protocol == "grpc" else receiver.endpoint_http
        exporter = make(lane, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_HEADERS="x-key=secret")
        outcome = exporter.export(RESOURCE, some_spans(), deadline())
        assert isinstance(outcome, Exported)
        assert (outcome.accepted, outcome.rejected) == (2, 0)
        exporter.close_idle()
        (request,) = receiver.requests
        server, handler = receiver.spans
    assert request.protocol == protocol
    assert request.headers["x-key"] == "secret"
    assert server.resource == RESOURCE
    assert (server.span.trace_id, server.span.span_id) == (bytes(range(16)), b"serverid")
    assert (server.span.parent_span_id, server.span.trace_state) == (bytes(range(8)), "a=b")
    assert (server.span.kind, server.span.name) == (SERVER, "fn")
    assert (server.span.start_time_unix_nano, server.span.end_time_unix_nano) == (1_000, 9_000)
    assert (server.span.status.code, server.span.status.message) == (2, "no luck")
    assert server.span.flags & 0x200
    (link,) = server.span.links
    assert (link.trace_id, link.span_id) == (bytes(range(16, 32)), b"theinit!")
    assert [(each.key, each.value.string_value) for each in link.attributes] == [("coldspan.link.type", "init")]
    assert server.attributes == {"faas.coldstart": True, "error.type": "ValueError"}
    assert (handler.span.parent_span_id, handler.span.status.code, handler.span.kind) == (b"serverid", 0, 1)
    assert handler.attributes == {"n": 1, "f": 0.5, "s": "x"}
    assert [(event.name, event.time_unix_nano) for event in handler.span.events] == [("exception", 2_500)]


def test_stdout_lines_say_the_same_as_protobuf(make: Make) -> None:
    with OtlpReceiver() as receiver:
        make(LEAN, receiver.endpoint_http).export(RESOURCE, some_spans(), deadline())
        (request,) = receiver.requests
    (line,) = lines_of(RESOURCE, some_spans())
    ours = json.loads(line)
    theirs = MessageToDict(request.body, use_integers_for_enums=True)
    for span, expected in zip(
        ours["resourceSpans"][0]["scopeSpans"][0]["spans"],
        request.body.resource_spans[0].scope_spans[0].spans,
        strict=True,
    ):
        assert span.pop("traceId") == expected.trace_id.hex()
        assert span.pop("spanId") == expected.span_id.hex()
        assert span.pop("parentSpanId") == expected.parent_span_id.hex()
        for link, expected_link in zip(span.get("links", []), expected.links, strict=True):
            assert link.pop("traceId") == expected_link.trace_id.hex()
            assert link.pop("spanId") == expected_link.span_id.hex()
    for span in theirs["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId", "parentSpanId"):
            for has_it in (span, *span.get("links", [])):
                has_it.pop(name, None)
        span.setdefault("status", {})
    for span in ours["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        span.setdefault("status", {})
    assert ours == theirs


def test_numbers_that_json_does_not_have_are_written_as_protobufs_json_has_them() -> None:
    span = Span("s", bytes(16), bytes(8), b"", 0, 1, {"a": math.inf, "b": -math.inf, "c": math.nan, "d": 1e300})
    (line,) = lines_of({}, [span])
    (told,) = json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    values = [attribute["value"]["doubleValue"] for attribute in told["attributes"]]
    assert values == ["Infinity", "-Infinity", "NaN", 1e300]


def test_a_large_trace_takes_several_lines_each_below_the_limit() -> None:
    spans = [Span(f"s{n}", bytes(16), n.to_bytes(8, "big"), b"", 0, 1, {"text": "é" * 1_000}) for n in range(100)]
    lines = lines_of(RESOURCE, spans)
    assert len(lines) > 1
    assert all(len(line.encode()) < MAX_LINE for line in lines)
    names = [s["name"] for line in lines for s in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    assert names == [f"s{n}" for n in range(100)]


@every_lane
def test_hostile_text_and_numbers_cost_no_batch(lane: str, make: Make) -> None:
    hostile: Attributes = {"bad": "\ud800", "big": 1 << 70, "long": "x" * 9_999, "": "nameless"}
    span = Span("a\ud800b", bytes(range(16)), b"12345678", b"", 0, 1, hostile)
    with OtlpReceiver() as receiver:
        assert isinstance(make(lane, receiver.endpoint_http).export(RESOURCE, [span], deadline()), Exported)
        (received,) = receiver.spans
    assert received.span.name == "a?b"
    assert received.attributes == {"bad": "?", "big": (1 << 63) - 1, "long": "x" * 4_096}
    assert json.loads(lines_of(RESOURCE, [span])[0])


@every_lane
def test_a_partial_success_is_no_failure_and_says_what_was_rejected(lane: str, make: Make) -> None:
    with OtlpReceiver([Accept(rejected_spans=1, message="too old"), Accept(rejected_spans=9)]) as receiver:
        exporter = make(lane, receiver.endpoint_http)
        outcomes = [exporter.export(RESOURCE, some_spans(), deadline()) for _ in range(2)]
    for outcome, expected in zip(outcomes, [(1, 1, "too old"), (0, 2, "")], strict=True):
        assert isinstance(outcome, Exported)
        assert (outcome.accepted, outcome.rejected, outcome.message) == expected


@every_lane
@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
def test_a_refusal_that_must_not_be_retried_is_final(lane: str, status: int, make: Make) -> None:
    with OtlpReceiver([Refuse(status)] * 9) as receiver:
        outcome = make(lane, receiver.endpoint_http).export(RESOURCE, some_spans(), deadline())
        assert len(receiver.requests) == 1
    assert isinstance(outcome, Failed)
    assert not outcome.retryable
    assert outcome.reason.startswith(f"HTTP {status}")


@every_lane
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_overloaded_collector_leaves_the_spans_for_later_within_the_deadline(
    lane: str, status: int, make: Make
) -> None:
    with OtlpReceiver([Refuse(status, retry_after_s=7)] * 9) as receiver:
        exporter = make(lane, receiver.endpoint_http)
        began = time.monotonic()
        outcome = exporter.export(RESOURCE, some_spans(), deadline(3))
        took = time.monotonic() - began
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert outcome.retry_after_s == 7.0
    assert took < 5  # and not the 7 s that it is asked to wait


@every_lane
def test_an_unreachable_collector_leaves_the_spans_for_later(lane: str, make: Make) -> None:
    with nobody_listens() as endpoint:
        outcome = make(lane, endpoint).export(RESOURCE, some_spans(), deadline(0.5))
    assert isinstance(outcome, Failed)
    assert outcome.retryable


@every_lane
def test_a_collector_that_hangs_is_waited_for_no_longer_than_the_time_limit(lane: str, make: Make) -> None:
    release = threading.Event()
    with OtlpReceiver([Hang(until=release)] * 3) as receiver:
        exporter = make(lane, receiver.endpoint_http, OTEL_EXPORTER_OTLP_TIMEOUT="200")
        began = time.monotonic()
        outcome = exporter.export(RESOURCE, some_spans(), deadline(30))
        took = time.monotonic() - began
        release.set()
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert took < 10  # and not until the deadline


@every_lane
def test_without_time_left_nothing_is_sent(lane: str, make: Make) -> None:
    with OtlpReceiver() as receiver:
        outcome = make(lane, receiver.endpoint_http).export(RESOURCE, some_spans(), deadline(-1))
        assert receiver.requests == []
    assert isinstance(outcome, Failed)
    assert outcome.retryable


@every_lane
def test_compression_is_applied(lane: str, make: Make) -> None:
    with OtlpReceiver() as receiver:
        exporter = make(lane, receiver.endpoint_http, OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
        exporter.export(RESOURCE, some_spans(), deadline())
        assert receiver.requests[0].headers["content-encoding"] == "gzip"
        assert len(receiver.spans) == 2


@every_lane
def test_exporter_none_drops_without_a_word(lane: str, make: Make) -> None:
    exporter = make(lane, "http://x", OTEL_TRACES_EXPORTER="none")
    assert isinstance(exporter.export(RESOURCE, some_spans(), deadline()), Exported)


@every_lane
def test_a_collector_that_hangs_does_not_hold_the_loop(lane: str, make: Make) -> None:
    release = threading.Event()
    with OtlpReceiver([Hang(until=release)]) as receiver:
        worker = Worker(lambda: make(lane, receiver.endpoint_http))
        worker.submit(Batch(RESOURCE, some_spans(), deadline(30)))
        assert worker.collect() is None
        assert worker.is_busy
        release.set()
        os.set_blocking(worker.fileno(), True)
        batch = worker.collect()
    assert batch is not None
    assert isinstance(batch.outcome, Exported)
    assert not worker.is_busy


def test_a_fault_of_a_dependency_is_an_outcome() -> None:
    def broken() -> "Exporter":
        raise RuntimeError("no such lane")

    worker = Worker(broken)
    worker.load()  # fails quietly: the first batch tells
    os.set_blocking(worker.fileno(), True)
    worker.submit(Batch(RESOURCE, some_spans(), deadline()))
    batch = worker.collect()
    assert batch is not None
    assert isinstance(batch.outcome, Failed)
    assert batch.outcome.reason == "RuntimeError: no such lane"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("7", 7.0),
        ("9" * 400, 86_400.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    outcome = outcome_of(503, header, b"", 1, now_s=1_795_521_600.0)
    assert isinstance(outcome, Failed)
    assert outcome.retry_after_s == seconds
