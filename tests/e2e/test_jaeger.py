"""The lab's traces in a real Jaeger: what its user interface gets to see, and what it finds wrong with them."""

import re
from collections.abc import Iterator

import pytest

from coldspan_testing import trees
from coldspan_testing.jaeger import Jaeger, Trace, tags
from coldspan_testing.runs import StartRun
from coldspan_testing.shapes import RunSource

WARM = {
    ("", "function"),
    ("function", "next"),
    ("function", "handler"),
    ("function", "response"),
    ("function", "after response"),
}
COLD = WARM | {
    ("function", "init"),
    ("init", "extension init"),
    ("init", "runtime boot"),
    ("init", "load handler"),
}
NOT_ALWAYS = {("function", "event decode"), ("function", "response encode")}
"""On a busy machine they may take the millisecond from which they are shown."""

OUTSIDE = re.compile(r"after response: clock skew adjustment disabled; not applying calculated delta of -[\d.µm]+s")
"""Jaeger 1 knows the spans of one host by the process tag `ip` alone, which is no attribute of OpenTelemetry's. Without
it, a child that is not within its parent is clock skew, and `after response` begins where SERVER ends. By default it
adjusts nothing."""


@pytest.fixture(scope="module")
def jaeger() -> Iterator[Jaeger]:
    with Jaeger() as running:
        yield running


def assert_nothing_is_wrong(jaeger: Jaeger, traces: list[Trace]) -> None:
    assert [jaeger.warnings_of_v2(trace) for trace in traces] == [[] for _ in traces]
    assert [each for trace in traces for each in trace.warnings if not OUTSIDE.fullmatch(each)] == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_cold_warm_and_failing_invocations_are_whole_traces(jaeger: Jaeger, start_run: StartRun, protocol: str) -> None:
    grpc = protocol == "grpc"
    service = f"by-{protocol.partition('/')[0]}"
    run = start_run(
        layer=trees.layer_tree("3.11", with_grpc=grpc),
        endpoint="",
        OTEL_EXPORTER_OTLP_ENDPOINT=jaeger.endpoint_grpc if grpc else jaeger.endpoint_http,
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_SERVICE_NAME=service,
        COLDSPAN_IMPORTS="off",
        COLDSPAN_MODULE_BODY="off",
    )
    for event in (1, 2, "raise"):
        run.lab.invoke(event)
        run.lab.wait_frozen()
    run.close()

    def whole(traces: list[Trace]) -> bool:
        return [trace.edges - NOT_ALWAYS for trace in traces] == [COLD, WARM, WARM]

    traces = jaeger.traces(service, whole)
    assert_nothing_is_wrong(jaeger, traces)
    for trace in traces:
        server = trace.span("function")
        assert {span["spanID"] for span in trace.spans if tags(span)["span.kind"] != "internal"} == {server["spanID"]}
        assert tags(server)["span.kind"] == "server"
        process = trace.process(server)
        assert process["serviceName"] == service
        assert (process["faas.name"], process["cloud.platform"]) == ("function", "aws_lambda")
        assert process["telemetry.sdk.name"] == "coldspan"
    assert [tags(trace.span("function"))["faas.coldstart"] for trace in traces] == [True, False, False]
    failed = [{span["operationName"] for span in trace.spans if tags(span).get("error")} for trace in traces]
    assert failed == [set(), set(), {"function", "handler"}]
    assert tags(traces[2].span("handler"))["error.type"] == "ValueError"


@pytest.mark.parametrize(
    ("name", "source", "last"),
    [
        ("imports", "import asyncio, email.mime.text\ndef handler(event, context): import wsgiref.util", "handler"),
        ("import-error", "import no_such_module", "load handler"),
        ("exit", "import sys\ndef handler(event, context): sys.exit(3)", "handler"),
        ("timeout", "import time\ndef handler(event, context): time.sleep(60)", "handler"),
    ],
)
def test_nothing_is_wrong_with_imports_with_failures_and_with_what_is_cut_off(
    jaeger: Jaeger, run_source: RunSource, name: str, source: str, last: str
) -> None:
    run = run_source(
        source,
        timeout_s=3.0,  # within which the second start has to be done
        OTEL_EXPORTER_OTLP_ENDPOINT=jaeger.endpoint_http,
        OTEL_SERVICE_NAME=name,
        COLDSPAN_IMPORTS="all",
        OTEL_LOG_LEVEL="debug",
    )
    for event in (1, 2):
        run.lab.invoke(event)
        run.lab.wait_frozen()
    run.close()

    sent = sum(int(str(said["spans"])) for said in run.logged("exported"))

    def whole(traces: list[Trace]) -> bool:
        return sum(len(trace.spans) for trace in traces) == sent

    traces = jaeger.traces(name, whole)
    servers = [trace for trace in traces if ("", "function") in trace.edges]
    assert [last in {child for _, child in trace.edges} for trace in servers] == [True, True]
    assert_nothing_is_wrong(jaeger, traces)
    spans = [span for trace in traces for span in trace.spans]
    assert len({span["spanID"] for span in spans}) == len(spans)
    if name == "imports":
        assert ("load handler", "import app") in traces[0].edges
    else:
        assert all(tags(trace.span("function"))["error"] is True for trace in servers)
