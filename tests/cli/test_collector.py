import asyncio
import gzip
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import requests
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from coldspan_lab.collector import JSON, PROTOBUF, Collector
from coldspan_lab.faults import COLLECTOR_DELAY_S, COLLECTOR_REFUSALS, Faults
from coldspan_lab.forwarder import Forwarder, traces_url
from coldspan_report import otlp
from coldspan_testing.ports import nobody_listens

EXPORT = otlp.from_json(
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",'
    b'"spanId":"eee19b7ec3c1b174","name":"fn","kind":2}]}]}]}'
)
BINARY = EXPORT.SerializeToString()
TEXT = otlp.to_json(EXPORT).encode()


def collect(
    send: Callable[[str], object], forwarder: Forwarder | None = None, fault: str | None = None
) -> list[otlp.ExportTraceServiceRequest]:
    """What a collector has after `send` has been called with its base URL."""

    async def run() -> list[otlp.ExportTraceServiceRequest]:
        async with Collector(forwarder, Faults.named([fault] if fault else []).hindrance) as collector:
            await asyncio.to_thread(send, collector.endpoint)
        return collector.exports

    return asyncio.run(run())


def post(body: bytes, content_type: str, **headers: str) -> Callable[[str], requests.Response]:
    answer = {"Content-Type": content_type, **headers}
    return lambda endpoint: requests.post(f"{endpoint}/v1/traces", data=body, headers=answer, timeout=10)


def refused(send: Callable[[str], requests.Response]) -> requests.Response:
    answers: list[requests.Response] = []
    assert collect(lambda endpoint: answers.append(send(endpoint))) == []
    return answers[0]


@contextmanager
def listener(status: int = 200) -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """Some collector's base URL, and path, headers and body of what it gets. It answers everything with `status`."""
    got: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *line: object) -> None:
            """Silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", got
        server.shutdown()


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_opentelemetrys_exporter_delivers(compression: Compression) -> None:
    span = TracerProvider().get_tracer("test").start_span("fn")
    span.end()

    def export(endpoint: str) -> None:
        exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", compression=compression)
        assert exporter.export([span]) is SpanExportResult.SUCCESS  # type: ignore[list-item]
        exporter.shutdown()  # type: ignore[no-untyped-call]

    (received,) = collect(export)
    assert [span.name for span in otlp.spans(received)] == ["fn"]


@pytest.mark.parametrize(("content_type", "body"), [(PROTOBUF, BINARY), (JSON, TEXT), (f"{JSON}; charset=utf-8", TEXT)])
def test_an_export_is_kept_and_answered_in_its_own_encoding(content_type: str, body: bytes) -> None:
    answers: list[requests.Response] = []
    assert collect(lambda endpoint: answers.append(post(body, content_type)(endpoint))) == [EXPORT]
    (answer,) = answers
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == content_type.partition(";")[0]
    if content_type == PROTOBUF:
        assert ExportTraceServiceResponse.FromString(answer.content) == ExportTraceServiceResponse()
    else:
        assert answer.json() == {}


def test_a_compressed_export_is_kept_in_both_encodings() -> None:
    for content_type, body in ((PROTOBUF, BINARY), (JSON, TEXT)):
        send = post(gzip.compress(body), content_type, **{"Content-Encoding": "gzip"})
        assert collect(send) == [EXPORT]


@pytest.mark.parametrize(
    ("send", "status"),
    [
        (post(b"no protobuf", PROTOBUF), 400),
        (post(b"{", JSON), 400),
        (post(BINARY, PROTOBUF, **{"Content-Encoding": "gzip"}), 400),
        (post(gzip.compress(BINARY)[:-4], PROTOBUF, **{"Content-Encoding": "gzip"}), 400),
        (post(BINARY, PROTOBUF, **{"Content-Encoding": "br"}), 415),
        (post(BINARY, "text/plain"), 415),
        (lambda endpoint: requests.post(f"{endpoint}/v1/metrics", data=b"", timeout=10), 404),
        (lambda endpoint: requests.get(f"{endpoint}/v1/traces", timeout=10), 405),
    ],
)
def test_what_is_no_export_is_refused_and_not_kept(send: Callable[[str], requests.Response], status: int) -> None:
    answer = refused(send)
    assert answer.status_code == status
    if answer.headers["Content-Type"] == JSON:
        assert answer.json()["message"]
    else:
        assert Status.FromString(answer.content).message


def test_exports_are_forwarded_byte_for_byte_in_their_order() -> None:
    compressed = gzip.compress(BINARY)

    def send(endpoint: str) -> None:
        post(TEXT, JSON)(endpoint)
        post(compressed, PROTOBUF, **{"Content-Encoding": "gzip"})(endpoint)
        post(b"refused", PROTOBUF)(endpoint)

    with listener() as (endpoint, got):
        forwarder = Forwarder(f"{endpoint}/otlp/", pytest.fail)
        assert collect(send, forwarder) == [EXPORT, EXPORT]
        forwarder.finish()
    assert [(path, headers["content-type"], headers.get("content-encoding"), body) for path, headers, body in got] == [
        ("/otlp/v1/traces", JSON, None, TEXT),
        ("/otlp/v1/traces", PROTOBUF, "gzip", compressed),
    ]
    assert (forwarder.delivered, forwarder.failed) == (2, 0)


@pytest.mark.parametrize("status", [301, 400, 503])
def test_a_collector_that_refuses_is_reported_once_and_fails_nothing(status: int) -> None:
    said: list[str] = []
    with listener(status) as (endpoint, got):
        forwarder = Forwarder(endpoint, said.append)
        for _ in range(2):
            assert collect(post(BINARY, PROTOBUF), forwarder) == [EXPORT]
        forwarder.finish()
    (line,) = said
    assert line.startswith(f"--otlp: an export could not be forwarded to {endpoint}/v1/traces: it answered {status}")
    assert (len(got), forwarder.delivered, forwarder.failed) == (2, 0, 2)


def test_a_collector_that_is_not_there_is_reported_once_and_fails_nothing() -> None:
    said: list[str] = []
    with nobody_listens() as endpoint:
        forwarder = Forwarder(endpoint, said.append)
        for _ in range(2):
            assert collect(post(BINARY, PROTOBUF), forwarder) == [EXPORT]
        forwarder.finish()
    (line,) = said
    assert line.endswith("Connection refused")


def test_a_collector_that_is_down_refuses_connections() -> None:
    def send(endpoint: str) -> None:
        with pytest.raises(requests.ConnectionError, match="Connection refused"):
            post(BINARY, PROTOBUF)(endpoint)

    assert collect(send, fault="collector-down") == []


def test_a_slow_collector_answers_late_and_keeps_the_export() -> None:
    answers: list[requests.Response] = []
    assert collect(lambda url: answers.append(post(BINARY, PROTOBUF)(url)), fault="collector-slow") == [EXPORT]
    assert answers[0].status_code == 200
    assert answers[0].elapsed.total_seconds() >= COLLECTOR_DELAY_S


def test_an_unavailable_collector_refuses_so_many_exports_and_takes_the_next() -> None:
    statuses: list[int] = []

    def send(endpoint: str) -> None:
        for _ in range(COLLECTOR_REFUSALS + 1):
            statuses.append(post(BINARY, PROTOBUF)(endpoint).status_code)

    assert collect(send, fault="collector-503") == [EXPORT]
    assert statuses == [503] * COLLECTOR_REFUSALS + [200]


def test_the_path_for_traces_goes_below_the_endpoints_own() -> None:
    assert traces_url("http://localhost:4318") == "http://localhost:4318/v1/traces"
    assert traces_url("https://collector.example/otlp/") == "https://collector.example/otlp/v1/traces"


def test_an_export_of_the_layers_size_is_no_problem() -> None:
    large = json.loads(TEXT)
    large["resourceSpans"] *= 20_000
    (received,) = collect(post(json.dumps(large).encode(), JSON))
    assert len(list(otlp.spans(received))) == 20_000
