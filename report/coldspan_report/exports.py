"""The import tree of one cold start in the formats of two viewers that people keep open. Pure.

perfetto     Chrome's trace events (ui.perfetto.dev, chrome://tracing), on the trace's own clock
speedscope   speedscope's file format, a profile weighted by each import's own time
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coldspan_report import coldstart, importtree, words
from coldspan_report.importtree import ImportNode
from coldspan_report.traces import Span, Trace

US = 1_000
PROCESS = 1
MAIN_THREAD = 1
SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def first_with_imports(traces: Iterable[Trace]) -> Trace | None:
    return next((trace for trace in traces if importtree.trees_of(trace)), None)


def perfetto(trace: Trace) -> str:
    """Every span as a complete event ("ph": "X"), times in microseconds from the trace's start.

    Events of one thread must nest. A sum of short imports has no place of its own in time and would lie across its
    siblings: it is told in its parent's args.
    """
    sums = {row.span.parent_span_id: row.span for row in trace.rows if row.span.name == coldstart.OTHERS}
    threads: dict[str, int] = {}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": PROCESS, "tid": MAIN_THREAD, "args": {"name": trace.root.name}}
    ]
    for row in trace.rows:
        span = row.span
        threads[span.span_id] = _thread(span, threads)
        if span.name == coldstart.OTHERS:
            continue
        source = str(span.attributes.get("coldspan.import.source", ""))
        events.append(
            {
                "ph": "X",
                "name": words.printable(span.name),
                "cat": f"import,{source}" if source else "import" if coldstart.is_import(span) else "phase",
                "ts": (span.start_time_unix_nano - trace.start_time_unix_nano) / US,
                "dur": span.duration_ns / US,
                "pid": PROCESS,
                "tid": threads[span.span_id],
                "args": {**_plain(span.attributes), **_others(sums.get(span.span_id))},
            }
        )
    return _json({"displayTimeUnit": "ms", "otherData": {"trace_id": trace.trace_id}, "traceEvents": events})


def _thread(span: Span, threads: dict[str, int]) -> int:
    """Its own where the span says so, else its parent's. Parents come first."""
    told = span.attributes.get("thread.id")
    return told if isinstance(told, int) else threads.get(span.parent_span_id, MAIN_THREAD)


def _others(span: Span | None) -> dict[str, str]:
    if span is None:
        return {}
    count = span.attributes.get("coldspan.import.count", "?")
    return {coldstart.OTHERS: f"{count}, {span.duration_ns / words.MS:.2f} ms together"}


def speedscope(trace: Trace) -> str:
    """A sampled profile for each tree: the stack of each node, weighted by what it took itself, in nanoseconds. Widths
    in the viewer are then times, and nothing is claimed of when a sum of short imports ran."""
    frames: dict[tuple[str, str], int] = {}
    profiles = [_profile(tree, frames) for tree in importtree.trees_of(trace)]
    named = [{"name": words.printable(name), **({"file": source} if source else {})} for name, source in frames]
    return _json(
        {
            "$schema": SPEEDSCOPE_SCHEMA,
            "exporter": "coldspan",
            "name": f"{words.printable(trace.root.name)}, trace {trace.trace_id}",
            "activeProfileIndex": 0,
            "shared": {"frames": named},
            "profiles": profiles,
        }
    )


def _profile(tree: ImportNode, frames: dict[tuple[str, str], int]) -> dict[str, Any]:
    samples, weights = [], []
    for stack, self_ns in _stacks(tree):
        samples.append([frames.setdefault((node.name, node.source), len(frames)) for node in stack])
        weights.append(self_ns)
    return {
        "type": "sampled",
        "name": f"imports of {words.printable(tree.name)}",
        "unit": "nanoseconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }


def _stacks(tree: ImportNode) -> Iterator[tuple[list[ImportNode], int]]:
    """From the outermost in, for each node that took time itself."""
    stack: list[ImportNode] = []
    for cell in importtree.placed(tree):
        del stack[cell.depth :]
        stack.append(cell.node)
        if cell.node.self_ns:
            yield list(stack), cell.node.self_ns


def _plain(attributes: Any) -> dict[str, Any]:
    return {key: value if not isinstance(value, bytes) else value.hex() for key, value in attributes.items()}


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), default=repr)


FORMATS: dict[str, Callable[[Trace], str]] = {"perfetto": perfetto, "speedscope": speedscope}
