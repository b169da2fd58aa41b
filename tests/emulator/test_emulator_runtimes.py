"""AWS's emulator with either runtime in the layer: awslambdaric under coldspan-exec, and coldspan-bootstrap.

What the function does is the same, and so are the answers over HTTP and the traces.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from coldspan_testing import interpreters, trees
from coldspan_testing.emulator import Emulator
from coldspan_testing.otlp_receiver import OtlpReceiver, SpanReceived
from coldspan_testing.ports import free_port
from coldspan_testing.runs import SERVER
from coldspan_testing.shapes import mark

PYTHON = "3.11"
FUNCTIONS = Path(__file__).parents[1] / "functions"
CLIENTS = ("awslambdaric", "coldspan")
PHASES = ("init", "next", "handler", "response")


@dataclass(frozen=True, slots=True)
class Run:
    """After the environment's end: the answers, and each trace as its root and its phases with their marks."""

    answers: list[tuple[int, bytes]]
    output: str
    spans: list[SpanReceived]

    @property
    def servers(self) -> list[SpanReceived]:
        found = [span for span in self.spans if span.span.kind == SERVER]
        return sorted(found, key=lambda span: span.span.start_time_unix_nano)

    @property
    def traces(self) -> list[list[tuple[str, str]]]:
        return [[("", mark(server)), *self._phases(server)] for server in self.servers]

    def _phases(self, server: SpanReceived) -> list[tuple[str, str]]:
        of_trace = [span for span in self.spans if span.span.trace_id == server.span.trace_id]
        of_trace.sort(key=lambda span: span.span.start_time_unix_nano)
        return [(span.span.name, mark(span)) for span in of_trace if span.span.name in PHASES]


Start = Callable[..., Run]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(client, function, handler, *payloads)."""
    with ExitStack() as stack:

        def invoked(client: str, function: str, handler: str, *payloads: bytes) -> Run:
            receiver = stack.enter_context(OtlpReceiver())
            environment = {
                "PATH": interpreters.search_path(PYTHON),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http,
                "COLDSPAN_CHANNEL": str(tmp_path / "pipe"),
                "COLDSPAN_LISTEN": f"127.0.0.1:{free_port()}",
                "AWS_LAMBDA_FUNCTION_TIMEOUT": "3",
            }
            command = ["/opt/coldspan-bootstrap", f"app.{handler}"]
            if client == "awslambdaric":
                command[:1] = ["/opt/coldspan-exec", str(interpreters.runtime(PYTHON)), "-m", "awslambdaric"]
            layer = trees.layer_tree(PYTHON)
            with Emulator(command, layer=layer, function=FUNCTIONS / function, environment=environment) as emulator:
                replies = [emulator.invoke(payload) for payload in payloads]
            return Run([(status, body) for status, _, body in replies], "".join(emulator.output), receiver.spans)

        yield invoked


COLD = [("", ""), ("init", ""), ("next", ""), ("handler", ""), ("response", "")]
WARM = [("", ""), ("next", ""), ("handler", ""), ("response", "")]


@pytest.mark.parametrize("client", CLIENTS)
def test_plain_and_failing_invocations(start: Start, client: str) -> None:
    run = start(client, "echo", "handler", b'{"a": 1}', b'"raise"', b'"b"')
    (_, plain), (_, failed), (_, again) = run.answers
    assert (plain, again) == (b'{"a": 1}', b'"b"')
    report = json.loads(failed)
    assert (report["errorType"], report["errorMessage"], len(report["stackTrace"])) == ("ValueError", "no luck", 1)
    failing = [("", "ValueError"), ("next", ""), ("handler", "ValueError"), ("response", "")]
    assert run.traces == [COLD, failing, WARM]
    assert "[ERROR] ValueError: no luck" in run.output


@pytest.mark.parametrize("client", CLIENTS)
def test_an_exit_and_the_reset_after_it(start: Start, client: str) -> None:
    run = start(client, "echo", "handler", b'"exit"', b'"a"')
    (status, crashed), (_, answered) = run.answers
    assert (status, json.loads(crashed)["errorType"], answered) == (502, "Runtime.ExitError", b'"a"')
    dead = [("", "Runtime.ExitError!"), ("init", ""), ("next", ""), ("handler", "Runtime.ExitError")]
    assert run.traces == [dead, COLD]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_timeout_and_the_reset_after_it(start: Start, client: str) -> None:
    run = start(client, "echo", "handler", b'"hang"', b'"a"')
    assert [body for _, body in run.answers] == [b"Task timed out after 3.00 seconds", b'"a"']
    assert run.traces == [[("", "timeout!"), ("init", ""), ("next", ""), ("handler", "timeout!")], COLD]


def test_a_stream_arrives_whole_and_its_trace_tells_the_first_byte(start: Start) -> None:
    run = start("coldspan", "streams", "generator", b"2", b"1")
    assert [body for _, body in run.answers] == ["chunk 0 é\nchunk 1 é\n".encode(), "chunk 0 é\n".encode()]
    assert run.traces == [COLD, WARM]
    for server in run.servers:
        (first_byte,) = [event for event in server.span.events if event.name == "first_byte"]
        since_ns = first_byte.time_unix_nano - server.span.start_time_unix_nano
        assert server.attributes["coldspan.response.ttfb"] == pytest.approx(since_ns / 1e9)
    assert [server.attributes["coldspan.response.size"] for server in run.servers] == [22, 11]


def test_a_stream_that_breaks_off_ends_with_its_error_and_the_next_one_is_whole(start: Start) -> None:
    run = start("coldspan", "streams", "fails", b'{"after": 2}', b'{"after": 0}')
    assert run.answers[0][1] == b"01"
    assert json.loads(run.answers[1][1])["errorType"] == "ValueError"
    assert [dict(trace)["handler"] for trace in run.traces] == ["ValueError", "ValueError"]
    assert "coldspan.response.ttfb" in run.servers[0].attributes
    assert "coldspan.response.ttfb" not in run.servers[1].attributes


def test_an_http_response_is_its_prelude_and_its_body(start: Start) -> None:
    (_, body), *_ = start("coldspan", "streams", "http", b"{}").answers
    prelude, _, payload = body.partition(bytes(8))
    assert (json.loads(prelude)["statusCode"], payload) == (201, b"body")
