"""Functions written in a test, run with a fault or as a start type, and the shape of the traces they leave."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coldspan_lab.service import Function, InitType, Lab, RuntimeClient
from coldspan_testing import interpreters, trees
from coldspan_testing.otlp_receiver import OtlpReceiver, SpanReceived
from coldspan_testing.runs import Run

Shape = tuple[str, str, str]
"""A span's name, its parent's, and its error.type with `!` behind it where the span was cut off."""

ERROR = 2  # StatusCode
IF_SLOW = ("event decode", "response encode", "response drain")
"""What a busy machine may lengthen beyond the millisecond from which it is shown."""
LEFT_OUT = ("extension init", "runtime boot", "import ", "other imports", *IF_SLOW)
"""Of the shapes: what every init has, and what depends on the version of Python."""

RunSource = Callable[..., Run]


@pytest.fixture
def run_source(tmp_path: Path) -> Iterator[RunSource]:
    """run_source(source, python="3.11", layer=tree, timeout_s=10, init_limit_s=None, init_type=on demand,
    runtime=awslambdaric, faults=(), **environment)."""
    with ExitStack() as stack:

        def start(
            source: str,
            python: str = "3.11",
            layer: Path | None = None,
            timeout_s: float = 10.0,
            init_limit_s: float | None = None,
            init_type: InitType = InitType.ON_DEMAND,
            runtime: RuntimeClient = RuntimeClient.AWSLAMBDARIC,
            faults: tuple[str, ...] = (),
            **environment: str,
        ) -> Run:
            (tmp_path / "app.py").write_text(source)
            receiver = stack.enter_context(OtlpReceiver())
            function = Function(
                tmp_path,
                python=interpreters.runtime(python),
                timeout_s=timeout_s,
                init_limit_s=init_limit_s,
                init_type=init_type,
                runtime=runtime,
                environment={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http, **environment},
            )
            running = ExitStack()
            stack.push(running)
            lab = running.enter_context(Lab(function, layer=layer or trees.layer_tree(python), faults=faults))
            return Run(lab, receiver, running.close)

        yield start


def shapes(run: Run) -> list[list[Shape]]:
    """Each trace that arrived, in order of its begin, and its spans likewise, parents before their children."""
    spans = in_order(run.receiver.spans)
    names = {span.span.span_id: span.span.name for span in spans}
    assert len(names) == len(spans)
    traces: dict[bytes, list[Shape]] = {}
    for span in spans:
        if not span.span.name.startswith(LEFT_OUT):
            shape = (span.span.name, names.get(span.span.parent_span_id, ""), mark(span))
            traces.setdefault(span.span.trace_id, []).append(shape)
    return list(traces.values())


def in_order(spans: list[SpanReceived]) -> list[SpanReceived]:
    """By their begin, parents before their children."""
    return sorted(spans, key=lambda span: (span.span.start_time_unix_nano, -span.span.end_time_unix_nano))


def mark(span: SpanReceived) -> str:
    """The third of a Shape."""
    assert (span.span.status.code == ERROR) == ("error.type" in span.attributes)
    return str(span.attributes.get("error.type", "")) + ("!" if span.attributes.get("coldspan.truncated") else "")


def exceptions(run: Run) -> list[tuple[str, str]]:
    """Span and exception type of each exception event, in order of time."""
    found = []
    for span in run.receiver.spans:
        for event in (event for event in span.span.events if event.name == "exception"):
            (of_type,) = [each.value.string_value for each in event.attributes if each.key == "exception.type"]
            found.append((event.time_unix_nano, span.span.name, of_type))
    return [(name, of_type) for _, name, of_type in sorted(found)]


VARIES = {"coldspan.memory.max_used", "coldspan.xray.trace_id", "exception.stacktrace", "faas.invocation_id"}
"""Beside durations, what has another value in each run."""


def told(run: Run) -> list[list[dict[str, object]]]:
    """Each trace that arrived as plain data, whole but for IF_SLOW; a value that varies is its type."""
    traces: dict[bytes, list[dict[str, object]]] = {}
    names = {span.span.span_id: span.span.name for span in run.receiver.spans}
    for span in in_order(run.receiver.spans):
        if not span.span.name.startswith(IF_SLOW):
            traces.setdefault(span.span.trace_id, []).append(
                {
                    "name": span.span.name,
                    "parent": names.get(span.span.parent_span_id, ""),
                    **{key: known(key, value) for key, value in sorted(span.attributes.items())},
                    **({"events": [event.name for event in span.span.events]} if span.span.events else {}),
                    **({"error": span.span.status.message} if span.span.status.code == ERROR else {}),
                }
            )
    return list(traces.values())


def known(key: str, value: object) -> object:
    return type(value) if isinstance(value, float) or key in VARIES else value
