"""The built layer under AWS's own emulator: traces from an implementation of Lambda that is not ours.

The emulator has no Telemetry API, does not freeze and names the function test_function; what it cannot show (init
types, resets, late telemetry) is tested on the lab.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from coldspan_testing import interpreters, trees
from coldspan_testing.emulator import Emulator
from coldspan_testing.otlp_receiver import OtlpReceiver, SpanReceived
from coldspan_testing.ports import free_port

PYTHON = "3.11"
FUNCTION = Path(__file__).parent / "function"
PHASES = ("init", "next", "handler", "response")


@dataclass(frozen=True, slots=True)
class Run:
    """One cold and one warm invocation of the same environment, after its shutdown."""

    answers: list[tuple[int, object]]
    output: list[str]
    spans: list[SpanReceived]

    @property
    def servers(self) -> list[SpanReceived]:
        """The invocations' spans, the cold one first."""
        servers = [found for found in self.spans if found.span.kind == Span.SPAN_KIND_SERVER]
        return sorted(servers, key=lambda found: found.span.start_time_unix_nano)

    def phases(self, server: SpanReceived) -> list[Span]:
        """The phases right below an invocation's span, in order of time."""
        below = [found.span for found in self.spans if found.span.parent_span_id == server.span.span_id]
        return sorted((span for span in below if span.name in PHASES), key=lambda span: span.start_time_unix_nano)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    layer = trees.layer_tree(PYTHON)
    command = ["/opt/coldspan-exec", str(interpreters.runtime(PYTHON)), "-m", "awslambdaric", "app.handler"]
    with OtlpReceiver() as receiver:
        environment = {
            "PATH": interpreters.search_path(PYTHON),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http,
            "COLDSPAN_CHANNEL": str(tmp_path_factory.mktemp("channel") / "pipe"),
            "COLDSPAN_LISTEN": f"127.0.0.1:{free_port()}",
        }
        with Emulator(command, layer=layer, function=FUNCTION, environment=environment) as emulator:
            replies = [emulator.invoke(payload) for payload in (b'{"n": 1}', b'{"n": 2}')]
        answers = [(status, json.loads(body)) for status, _, body in replies]
        yield Run(answers, emulator.output, receiver.spans)


def test_function_answers_as_it_would_without_the_layer(run: Run) -> None:
    assert run.answers == [(200, {"echo": '{"n": 1}', "one": "1"}), (200, {"echo": '{"n": 2}', "one": "1"})]


def test_each_invocation_is_one_server_span_and_the_first_a_cold_start(run: Run) -> None:
    assert [found.attributes.get("faas.coldstart") for found in run.servers] == [True, False]
    assert len({found.span.trace_id for found in run.servers}) == 2
    assert [found.span.parent_span_id for found in run.servers] == [b"", b""]


def test_phases_follow_one_another_inside_their_invocation(run: Run) -> None:
    cold, warm = run.servers
    assert [span.name for span in run.phases(cold)] == ["init", "next", "handler", "response"]
    assert [span.name for span in run.phases(warm)] == ["next", "handler", "response"]
    for server in (cold, warm):
        phases = run.phases(server)
        assert server.span.start_time_unix_nano <= phases[0].start_time_unix_nano
        assert phases[-1].end_time_unix_nano <= server.span.end_time_unix_nano
        for earlier, later in pairwise(phases):
            assert earlier.start_time_unix_nano < earlier.end_time_unix_nano <= later.start_time_unix_nano


def test_modules_import_is_shown_within_the_cold_start(run: Run) -> None:
    cold, warm = run.servers
    loads = [found.span for found in run.spans if found.span.name == "load handler"]
    assert [span.trace_id for span in loads] == [cold.span.trace_id]
    assert loads[0].trace_id != warm.span.trace_id


def test_resource_is_the_function_not_the_extension(run: Run) -> None:
    resource = run.servers[0].resource
    assert resource["faas.name"] == resource["service.name"] == "test_function"
    assert str(resource["process.runtime.version"]).startswith(f"{PYTHON}.")
    assert resource["cloud.platform"] == "aws_lambda"


def test_missing_telemetry_api_is_said_once(run: Run) -> None:
    logged = [json.loads(line) for line in run.output if line.startswith("{")]
    assert [line["event"] for line in logged].count("telemetry_unavailable") == 1
