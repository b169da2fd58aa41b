"""The import tree of one cold start in the formats of two viewers that people keep open. Pure.

perfetto     Chrome's trace events (ui.perfetto.dev, chrome://tracing), on the trace's own clock
speedscope   speedscope's file format, a profile weighted by each import's own time
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coldspan_report import coldstart, importtree, words
from coldspan_report.importtree import ImportNode
from coldspan_report.traces import Span, Trace

US = 1_000
PROCESS = 1
MAIN_TRACK = 1
OTHER_PROCESS = "extension init"
"""The one span that the runtime's process is not waiting in."""
SPEEDSCOPE_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def first_cold_start(traces: Iterable[Trace]) -> Trace | None:
    """The first trace whose init imported."""
    return next(
        (trace for trace in traces if any(tree.name == coldstart.LOAD for tree in importtree.trees_of(trace))), None
    )


def perfetto(trace: Trace) -> str:
    """Every span as a complete event ("ph": "X"), times in microseconds from the trace's start.

    A sum of short imports has no place of its own in time and would lie across its siblings: it is told in its parent's
    args.
    """
    sums = {row.span.parent_span_id: row.span for row in trace.rows if row.span.name == coldstart.OTHERS}
    spans = [row.span for row in trace.rows if row.span.name != coldstart.OTHERS]
    tracks = _tracks(spans)
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": PROCESS, "args": {"name": words.printable(trace.root.name)}}
    ]
    events += [
        {
            "ph": "X",
            "name": words.printable(span.name),
            "cat": _category(span),
            "ts": (span.start_time_unix_nano - trace.start_time_unix_nano) / US,
            "dur": max(span.duration_ns, 0) / US,
            "pid": PROCESS,
            "tid": tracks[span.span_id],
            "args": {**_plain(dict(span.attributes)), **_others(sums.get(span.span_id))},
        }
        for span in spans
    ]
    return _json({"displayTimeUnit": "ms", "otherData": {"trace_id": trace.trace_id}, "traceEvents": events})


def _tracks(spans: Iterable[Span]) -> dict[str, int]:
    """The track of each span, since events of one track must nest: its parent's, but for what ran beside its siblings.
    Parents come before their children, siblings by start."""
    tracks: dict[str, int] = {}
    ended: dict[tuple[str, int], int] = {}  # when the last sibling on that track did
    for span in spans:
        parent = span.parent_span_id if span.parent_span_id in tracks else ""
        track = tracks.get(parent, MAIN_TRACK)
        is_elsewhere = span.name == OTHER_PROCESS or "thread.id" in span.attributes
        if is_elsewhere or ended.get((parent, track), 0) > span.start_time_unix_nano:
            track = max(tracks.values(), default=MAIN_TRACK) + 1
        tracks[span.span_id] = track
        ended[parent, track] = span.end_time_unix_nano
    return tracks


def _category(span: Span) -> str:
    if not coldstart.is_import(span):
        return "phase"
    source = words.printable(str(span.attributes.get("coldspan.import.source", "")))
    return f"import,{source}" if source else "import"


def _others(span: Span | None) -> dict[str, str]:
    if span is None:
        return {}
    count = span.attributes.get("coldspan.import.count", "?")
    return {coldstart.OTHERS: f"{count}, {span.duration_ns / words.MS:.2f} ms together"}


def speedscope(trace: Trace) -> str:
    """A sampled profile for each tree: the stack of each node, weighted by what it took itself, in nanoseconds. Widths
    in the viewer are then times, and nothing is claimed of when a sum of short imports ran."""
    frames: dict[str, int] = {}
    profiles = [_profile(tree, frames) for tree in importtree.trees_of(trace)]
    return _json(
        {
            "$schema": SPEEDSCOPE_SCHEMA,
            "exporter": "coldspan",
            "name": f"{words.printable(trace.root.name)}, trace {trace.trace_id}",
            "activeProfileIndex": 0,
            "shared": {"frames": [{"name": name} for name in frames]},
            "profiles": profiles,
        }
    )


def _profile(tree: ImportNode, frames: dict[str, int]) -> dict[str, Any]:
    samples, weights = [], []
    for stack, self_ns in _stacks(tree):
        samples.append([frames.setdefault(_frame(node), len(frames)) for node in stack])
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


def _frame(node: ImportNode) -> str:
    return words.printable(f"{node.name} ({node.source})" if node.source else node.name)


def _stacks(tree: ImportNode) -> Iterator[tuple[list[ImportNode], int]]:
    """From the outermost in, for each node that took time itself."""
    stack: list[ImportNode] = []
    for cell in importtree.placed(tree):
        del stack[cell.depth :]
        stack.append(cell.node)
        if cell.node.self_ns:
            yield list(stack), cell.node.self_ns


def _plain(value: Any) -> Any:
    """As JSON has it: no bytes, no numbers that are none."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


FORMATS: dict[str, Callable[[Trace], str]] = {"perfetto": perfetto, "speedscope": speedscope}
