"""The way out: both protocols and stdout carry the same spans, and what the collector says is understood."""

import json
import os
import threading
import time

import pytest

from coldspan_extension.config import parse
from coldspan_extension.export import Exported, Failed
from coldspan_extension.export.lane import make_exporter
from coldspan_extension.export.stdout import MAX_LINE, lines_of
from coldspan_extension.export.worker import Batch, Worker
from coldspan_extension.log import Log
from coldspan_extension.span import SERVER, Attributes, Event, Link, Span
from coldspan_testing.otlp_receiver import Accept, Hang, OtlpReceiver, Refuse

RESOURCE: Attributes = {"service.name": "fn", "faas.max_memory": 1 << 40, "aws.log.group.names": ["/aws/lambda/fn"]}
QUIET = Log("none")


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


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_every_field_of_a_span_arrives(protocol: str) -> None:
    with OtlpReceiver() as receiver:
        endpoint = receiver.endpoint_grpc if protocol == "grpc" else receiver.endpoint_http
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
        exporter = make_exporter(parse({**environ, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret"}), QUIET)
        outcome = exporter.export(RESOURCE, some_spans(), deadline())
        assert isinstance(outcome, Exported)
        assert (outcome.accepted, outcome.rejected) == (2, 0)
        exporter.close_idle()
        (request,) = receiver.requests
        server, handler = receiver.spans
    assert request.protocol == protocol
    assert request.headers["x-key"] == "secret"
    assert server.resource == {
        "service.name": "fn",
        "faas.max_memory": 1 << 40,
        "aws.log.group.names": ["/aws/lambda/fn"],
    }
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


def test_stdout_lines_say_the_same_as_protobuf() -> None:
    with OtlpReceiver() as receiver:
        exporter = make_exporter(parse({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http}), QUIET)
        exporter.export(RESOURCE, some_spans(), deadline())
        (request,) = receiver.requests
    from google.protobuf.json_format import MessageToDict

    (line,) = lines_of(RESOURCE, some_spans())
    ours = json.loads(line)
    theirs = MessageToDict(request.body, use_integers_for_enums=True)
    for span, expected in zip(
        ours["resourceSpans"][0]["scopeSpans"][0]["spans"], request.body.resource_spans[0].scope_spans[0].spans,
        strict=True,
    ):  # fmt: skip
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


def test_a_large_trace_takes_several_lines_each_below_the_limit() -> None:
    spans = [
        Span(f"s{n}", bytes(16), n.to_bytes(8, "big"), b"", 0, 1, {"text": "é" * 1_000}) for n in range(100)
    ]  # fmt: skip
    lines = lines_of(RESOURCE, spans)
    assert len(lines) > 1
    assert all(len(line.encode()) < MAX_LINE for line in lines)
    names = [s["name"] for line in lines for s in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]]
    assert names == [f"s{n}" for n in range(100)]


def test_hostile_text_and_numbers_cost_no_batch() -> None:
    span = Span(
        "a\ud800b", bytes(range(16)), b"12345678", b"", 0, 1, {"bad": "\ud800", "big": 1 << 70, "long": "x" * 9_999}
    )
    with OtlpReceiver() as receiver:
        exporter = make_exporter(parse({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http}), QUIET)
        assert isinstance(exporter.export(RESOURCE, [span], deadline()), Exported)
        (received,) = receiver.spans
    assert received.span.name == "a?b"
    assert received.attributes == {"bad": "?", "big": (1 << 63) - 1, "long": "x" * 4_096}
    assert json.loads(lines_of(RESOURCE, [span])[0])


def test_a_partial_success_is_no_failure_and_says_what_was_rejected() -> None:
    with OtlpReceiver([Accept(rejected_spans=1, message="too old")]) as receiver:
        exporter = make_exporter(parse({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http}), QUIET)
        outcome = exporter.export(RESOURCE, some_spans(), deadline())
    assert isinstance(outcome, Exported)
    assert (outcome.accepted, outcome.rejected, outcome.message) == (1, 1, "too old")


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (401, False), (404, False)])
def test_a_refusal_that_must_not_be_retried_is_final(status: int, retryable: bool) -> None:
    with OtlpReceiver([Refuse(status)] * 9) as receiver:
        exporter = make_exporter(parse({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http}), QUIET)
        outcome = exporter.export(RESOURCE, some_spans(), deadline())
        assert len(receiver.requests) == 1
    assert isinstance(outcome, Failed)
    assert outcome.retryable is retryable
    assert outcome.reason.startswith(f"HTTP {status}")


def test_an_overloaded_collector_leaves_the_spans_for_later_within_the_deadline() -> None:
    with OtlpReceiver([Refuse(503)] * 9) as receiver:
        exporter = make_exporter(parse({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http}), QUIET)
        began = time.monotonic()
        outcome = exporter.export(RESOURCE, some_spans(), deadline(0.5))
        took = time.monotonic() - began
    assert isinstance(outcome, Failed)
    assert outcome.retryable
    assert took < 0.7


def test_an_unreachable_collector_leaves_the_spans_for_later() -> None:
    with OtlpReceiver() as gone:
        endpoint = gone.endpoint_http
    outcome = make_exporter(parse({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}), QUIET).export(
        RESOURCE, some_spans(), deadline(0.5)
    )
    assert isinstance(outcome, Failed)
    assert outcome.retryable


def test_compression_is_applied() -> None:
    with OtlpReceiver() as receiver:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http, "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        make_exporter(parse(environ), QUIET).export(RESOURCE, some_spans(), deadline())
        assert receiver.requests[0].headers["content-encoding"] == "gzip"
        assert len(receiver.spans) == 2


def test_exporter_none_drops_without_a_word() -> None:
    exporter = make_exporter(parse({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}), QUIET)
    assert isinstance(exporter.export(RESOURCE, some_spans(), deadline()), Exported)


def test_a_collector_that_hangs_does_not_hold_the_loop() -> None:
    release = threading.Event()
    with OtlpReceiver([Hang(until=release)]) as receiver:
        worker = Worker(lambda: make_exporter(parse({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http}), QUIET))
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
    def broken() -> "object":
        raise RuntimeError("no such lane")

    worker = Worker(broken)  # type: ignore[arg-type]
    os.set_blocking(worker.fileno(), True)
    worker.submit(Batch(RESOURCE, some_spans(), deadline()))
    batch = worker.collect()
    assert batch is not None
    assert isinstance(batch.outcome, Failed)
    assert batch.outcome.reason == "RuntimeError: no such lane"
