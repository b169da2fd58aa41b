"""One environment under the local Lambda service, with the real layer tree and a receiver that is not ours."""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from coldspan_lab.service import Function, Lab, Moment
from coldspan_testing import interpreters, trees
from coldspan_testing.otlp_receiver import Answer, OtlpReceiver, SpanReceived

FUNCTIONS = Path(__file__).parents[2] / "functions"
SERVER = 2


@dataclass(frozen=True, slots=True)
class Run:
    """A lab that runs a function, and what arrived from it. After close(), everything has."""

    lab: Lab
    receiver: OtlpReceiver
    close: Callable[[], None]

    @property
    def servers(self) -> list[SpanReceived]:
        found = [span for span in self.receiver.spans if span.span.kind == SERVER]
        return sorted(found, key=lambda span: span.span.start_time_unix_nano)

    def children(self, parent: SpanReceived) -> list[SpanReceived]:
        """In order of their begin."""
        found = [span for span in self.receiver.spans if span.span.parent_span_id == parent.span.span_id]
        return sorted(found, key=lambda span: span.span.start_time_unix_nano)

    def child(self, parent: SpanReceived, name: str) -> SpanReceived:
        (found,) = [span for span in self.children(parent) if span.span.name == name]
        return found

    @property
    def held_ns(self) -> list[int]:
        """How long each invocation's environment waited for the extension alone: microseconds where that had asked for
        its next event before."""
        at = {(mark.what, mark.request_id): mark.time_unix_ns for mark in self.lab.timeline}
        free = [(id_, at_ns) for (what, id_), at_ns in at.items() if what is Moment.EXTENSIONS_READY]
        return [at_ns - at[Moment.RUNTIME_READY, id_] for id_, at_ns in free]

    def logged(self, event: str) -> list[dict[str, object]]:
        """The extension's own log lines of that event."""
        lines = [line.text for line in self.lab.log if line.source == "extension" and line.text.startswith('{"')]
        return [said for said in map(json.loads, lines) if said.get("event") == event]

    @property
    def stdout_lines(self) -> list[str]:
        return [line.text for line in self.lab.log if line.text.startswith('{"resourceSpans"')]


StartRun = Callable[..., Run]


@pytest.fixture
def start_run() -> Iterator[StartRun]:
    """start_run(function="echo", python="3.11", layer=tree, answers=(), timeout_s=10, tls=None, settings={},
    **environment); `settings` are further ones of the lab's Function."""
    with ExitStack() as stack:

        def start(
            function: str | Path = "echo",
            python: str = "3.11",
            layer: Path | None = None,
            answers: tuple[Answer, ...] = (),
            timeout_s: float = 10.0,
            endpoint: str = "http",
            tls: ssl.SSLContext | None = None,
            settings: Mapping[str, Any] = MappingProxyType({}),
            **environment: str,
        ) -> Run:
            receiver = stack.enter_context(OtlpReceiver(answers, tls))
            urls = {"http": receiver.endpoint_http, "grpc": receiver.endpoint_grpc, "": ""}
            if urls[endpoint]:
                environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = urls[endpoint]
            what = Function(
                FUNCTIONS / function,
                python=interpreters.runtime(python),
                timeout_s=timeout_s,
                environment=environment,
                **settings,
            )
            running = ExitStack()
            stack.push(running)
            lab = running.enter_context(Lab(what, layer=layer or trees.layer_tree(python)))
            return Run(lab, receiver, running.close)

        yield start
