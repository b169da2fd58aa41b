"""The page of `coldspan run`: each trace as a waterfall, and what its cold start imported as an icicle."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from coldspan_report import coldstart, importtree, words
from coldspan_report.page.icicle import SOURCES, icicle
from coldspan_report.page.shell import document, fragment
from coldspan_report.traces import ERROR, SERVER, Row, Trace

DEEP = 3
"""Indents are half as wide from here on: imports nest deeply."""
TICKS = 5
PHASES = ("init", "restore", "next", "handler", "response")


def trace_page(traces: Sequence[Trace], title: str) -> str:
    """The whole file, traces in the order given."""
    spans = sum(len(trace.rows) for trace in traces)
    summary = f"{len(traces)} traces, {spans} spans" if traces else "No spans came from the layer."
    contents = fragment("contents.html", title=title, summary=summary, traces=[_head(trace) for trace in traces])
    return document(title, [contents, *(waterfall(trace, number) for number, trace in enumerate(traces, 1))])


def waterfall(trace: Trace, number: int) -> Markup:
    """One trace. `number` tells it from others on the same page. Imports that the terminal leaves out are hidden until
    they are asked for."""
    shown = {row.span.span_id for row in coldstart.rows(trace)}
    rows = [_row(row, trace, row.span.span_id not in shown) for row in trace.rows]
    total_ms = _length_ns(trace) / words.MS
    ticks = [(share / (TICKS - 1), total_ms * share / (TICKS - 1)) for share in range(TICKS)]
    return fragment(
        "trace.html",
        number=number,
        **_head(trace),
        trace_id=trace.trace_id,
        began=words.instant(trace.start_time_unix_nano),
        init_type=str(trace.root.attributes.get("coldspan.init.type", "")),
        explained=coldstart.explain(trace),
        numbers=words.numbers(trace.root),
        ticks=[{"at": f"{at * 100:.2f}%", "words": f"{words.short(ms) if ms else 0} ms"} for at, ms in ticks],
        rows=rows,
        minor_count=sum(row["minor"] for row in rows),
        trees=[
            {"title": _tree_title(tree), "icicle": icicle(tree, f"Icicle of {_tree_title(tree)}")}
            for tree in importtree.trees_of(trace)
        ],
    )


def _tree_title(tree: importtree.ImportNode) -> str:
    return f"Imports of {tree.name}" if not tree.source else f"Import of {tree.name}, which nothing waited for"


def _head(trace: Trace) -> dict[str, str]:
    word = words.start_word(trace)
    return {
        "word": word,
        "kind": word if trace.root.kind == SERVER else "other",
        "duration": f"{words.short(trace.root.duration_ns / words.MS)} ms",
        "status": words.status(trace.root),
    }


def _length_ns(trace: Trace) -> int:
    return max(trace.end_time_unix_nano - trace.start_time_unix_nano, 1)


def _row(row: Row, trace: Trace, is_minor: bool) -> dict[str, Any]:
    span, total_ns = row.span, _length_ns(trace)
    begins_ns = span.start_time_unix_nano - trace.start_time_unix_nano
    return {
        "name": span.name,
        "indent": min(row.depth, DEEP) + max(row.depth - DEEP, 0) / 2,
        "minor": is_minor,
        "failed": span.status_code == ERROR,
        "kind": _kind(row),
        "left": begins_ns / total_ns,
        "width": max(span.duration_ns, 0) / total_ns,
        "duration_ns": span.duration_ns,
        "begins_ns": begins_ns,
        "source": str(span.attributes.get("coldspan.import.source", "")),
        "place": words.place(span),
        "status": words.status(span),
        "attributes": sorted(span.attributes.items()),
        "events": [
            {
                "name": event.name,
                "at_ns": event.time_unix_nano - trace.start_time_unix_nano,
                "attributes": sorted(event.attributes.items()),
            }
            for event in span.events
        ],
    }


def _kind(row: Row) -> str:
    """The bar's class in page.css."""
    span = row.span
    if span.status_code == ERROR:
        return "error"
    phase, source = (str(span.attributes.get(key, "")) for key in ("coldspan.phase", "coldspan.import.source"))
    if phase in PHASES:
        return f"phase-{phase}"
    if source in SOURCES:
        return f"source-{source}"
    return "source-none" if coldstart.is_import(span) else "plain-bar"
