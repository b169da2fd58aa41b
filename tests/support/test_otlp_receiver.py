"""The receiver that other tests trust, against OpenTelemetry's own exporters."""

import threading
from collections.abc import Iterator

import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from coldspan_testing.otlp_receiver import Accept, Hang, OtlpReceiver, Refuse


def span() -> ReadableSpan:
    provider = TracerProvider(resource=Resource({"service.name": "tested"}), shutdown_on_exit=False)
    with provider.get_tracer("test").start_as_current_span("op", attributes={"n": 1, "list": ["a", "b"]}) as started:
        pass
    assert isinstance(started, ReadableSpan)
    return started


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as started:
        yield started


def test_http_exports_are_kept_with_their_attributes(receiver: OtlpReceiver) -> None:
    url = f"{receiver.endpoint_http}/v1/traces"
    exporter: SpanExporter = HttpExporter(url, headers={"X-Key": "k"}, compression=Compression.Gzip)
    assert exporter.export([span()]) is SpanExportResult.SUCCESS
    (request,) = receiver.requests
    assert (request.protocol, request.headers["x-key"]) == ("http/protobuf", "k")
    (received,) = receiver.spans
    assert (received.span.name, received.attributes) == ("op", {"n": 1, "list": ["a", "b"]})
    assert received.resource == {"service.name": "tested"}
    exporter.shutdown()


def test_grpc_exports_are_kept_the_same_way(receiver: OtlpReceiver) -> None:
    exporter: SpanExporter = GrpcExporter(receiver.endpoint_grpc, insecure=True)
    assert exporter.export([span()]) is SpanExportResult.SUCCESS
    receiver.wait_for(lambda seen: [found.span.name for found in seen.spans] == ["op"])
    assert receiver.requests[0].protocol == "grpc"
    exporter.shutdown()


def test_answers_are_given_in_order_and_then_all_is_accepted() -> None:
    with OtlpReceiver([Refuse(503, retry_after_s=7), Accept(rejected_spans=1, message="too old")]) as receiver:
        url, protobuf = f"{receiver.endpoint_http}/v1/traces", {"Content-Type": "application/x-protobuf"}
        answers = [requests.post(url, b"", headers=protobuf, timeout=10) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503, 200, 200]
        assert answers[0].headers["Retry-After"] == "7"
        assert b"too old" in answers[1].content
        assert [request.accepted for request in receiver.requests] == [False, True, True]


def test_refused_grpc_export_carries_the_counterpart_of_the_status() -> None:
    with OtlpReceiver([Refuse(400)]) as receiver:
        exporter: SpanExporter = GrpcExporter(receiver.endpoint_grpc, insecure=True)
        assert exporter.export([span()]) is SpanExportResult.FAILURE
        exporter.shutdown()


def test_hanging_answer_comes_when_the_test_says_so() -> None:
    released = threading.Event()
    with OtlpReceiver([Hang(released)]) as receiver:
        url, protobuf = f"{receiver.endpoint_http}/v1/traces", {"Content-Type": "application/x-protobuf"}
        with pytest.raises(requests.ReadTimeout):
            requests.post(url, b"", headers=protobuf, timeout=0.2)
        assert receiver.requests == []
        released.set()
        receiver.wait_for(lambda seen: len(seen.requests) == 1)


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status"),
    [
        ("/v1/metrics", "application/x-protobuf", b"", 404),
        ("/v1/traces", "text/plain", b"", 415),
        ("/v1/traces", "application/x-protobuf", b"\xff", 400),
    ],
)
def test_what_is_no_export_is_refused(
    receiver: OtlpReceiver, path: str, content_type: str, body: bytes, status: int
) -> None:
    answer = requests.post(receiver.endpoint_http + path, body, headers={"Content-Type": content_type}, timeout=10)
    assert answer.status_code == status
    assert receiver.requests == []


def test_condition_that_never_holds_is_an_error_that_shows_what_came(receiver: OtlpReceiver) -> None:
    with pytest.raises(AssertionError, match=r"not met in 0\.01 s by: \[\]"):
        receiver.wait_for(lambda seen: bool(seen.spans), timeout_s=0.01)
