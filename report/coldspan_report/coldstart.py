"""What a trace says about its cold start: which imports to show, and why it was slow, in words. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePath

from coldspan_report.traces import Event, Row, Span, Trace

MS = 1_000_000
LOAD = "load handler"
OTHERS = "other imports"
IMPORT = "import "
SHOWN_SHARE = 0.04
"""An import is shown from this share of its trace's duration on: a picture has some 20 rows."""
FIRST_DEPTH = 4
"""The handler's module is at 3, what it imports itself at 4: those always have a row."""
SAMPLED_FROM_S = 0.025
"""A line is looked at every 15 ms: what was seen once only is chance."""
PASSED_ON_SHARE = 0.9
"""A module that spent this much of its import on importing one other has no row of its own."""

INIT_TYPES = {
    "on-demand": "on demand",
    "provisioned-concurrency": "provisioned concurrency",
    "snap-start": "SnapStart",
    "lambda-managed-instances": "managed instances",
}


def rows(trace: Trace) -> list[Row]:
    """The trace's rows, of imports those that took long enough; below one another, the costly ones first."""
    children: dict[str, list[Span]] = defaultdict(list)
    ids = {row.span.span_id for row in trace.rows}
    for row in trace.rows:
        children[row.span.parent_span_id if row.span.parent_span_id in ids else ""].append(row.span)
    least_ns = trace.root.duration_ns * SHOWN_SHARE
    return [row for top in children[""] for row in _descend(top, 0, children, least_ns)]


def _descend(span: Span, depth: int, children: dict[str, list[Span]], least_ns: float) -> Iterator[Row]:
    below = _shown(children[span.span_id], least_ns)
    passes_on = is_import(span) and depth > FIRST_DEPTH and len(below) == 1
    if passes_on and below[0].duration_ns >= span.duration_ns * PASSED_ON_SHARE and not _says_something(span):
        yield from _descend(below[0], depth, children, least_ns)
        return
    yield Row(depth, span)
    for child in below:
        yield from _descend(child, depth + 1, children, least_ns)


def _shown(below: list[Span], least_ns: float) -> list[Span]:
    if not any(is_import(child) for child in below):
        return below
    kept = [child for child in below if child.duration_ns >= least_ns or _says_something(child)]
    return sorted(kept, key=lambda child: -child.duration_ns)


def is_import(span: Span) -> bool:
    return span.name.startswith(IMPORT) or span.name == OTHERS


def _says_something(span: Span) -> bool:
    """However short: it failed, or it was running when the process died."""
    return bool(span.attributes.get("coldspan.truncated") or span.attributes.get("error.type"))


def place(span: Span) -> str:
    """Where an import statement stands, as file and line; empty where that is not known."""
    path, line = span.attributes.get("code.file.path"), span.attributes.get("code.line.number")
    return f"{PurePath(str(path)).name}:{line}" if path and line and is_import(span) else ""


def caught(span: Span) -> str:
    """The exception that an import raised, in vain; of a sum, the modules that did."""
    error, errors = span.attributes.get("coldspan.import.error"), span.attributes.get("coldspan.import.errors")
    each = errors if isinstance(errors, list) else [error] if error else []
    return ", ".join(str(text).partition(":")[0] for text in each)


def explain(trace: Trace) -> str:
    """Why a cold start took what it took: its type, the share of imports, the costliest package and the statement that
    brought it, and what a module did beside importing. Empty for a warm one."""
    root = trace.root
    if root.attributes.get("faas.coldstart") is not True:
        return ""
    parts = [f"cold: {_type(root)}, {root.duration_ns / MS:.0f} ms"]
    load = next((row.span for row in trace.rows if row.span.name == LOAD), None)
    if load is None:
        return parts[0]
    spans = {row.span.span_id: row.span for row in trace.rows if is_import(row.span)}
    handler = {row.span.span_id for row in trace.rows if row.span.name == "handler"}
    spans = {
        key: span for key, span in spans.items() if not _is_below(span, handler, spans)
    }  # init did not wait for it
    parts[0] += f", {_import_ns(load, spans) / max(root.duration_ns, 1):.0%} imports".replace("%", " %")
    if costliest := _costliest(spans):
        parts.append(costliest)
    if beside := _beside(trace):
        parts.append(beside)
    parts += [
        str(event.attributes["coldspan.advice"]) for event in load.events if "coldspan.advice" in event.attributes
    ]
    return "; ".join(parts)


def _is_below(span: Span, handler: set[str], spans: dict[str, Span]) -> bool:
    while (up := spans.get(span.parent_span_id)) is not None:
        span = up
    return span.parent_span_id in handler


def _type(root: Span) -> str:
    of_type = str(root.attributes.get("coldspan.init.type", ""))
    words = INIT_TYPES.get(of_type, of_type)
    return f"{words}, init repeated after a reset" if root.attributes.get("coldspan.init.phase") == "invoke" else words


def _import_ns(load: Span, spans: dict[str, Span]) -> int:
    """What the load spent in other modules than the handler's own."""
    own = [span for span in spans.values() if span.parent_span_id == load.span_id]
    return sum(span.duration_ns - _self_ns(span) for span in own)


def _self_ns(span: Span) -> int:
    return round(float(span.attributes.get("coldspan.self_time", 0.0)) * 1e9)


def _costliest(spans: dict[str, Span]) -> str:
    """The package whose modules took most themselves, and the statement of the handler's module that led to it."""
    spent: dict[str, int] = defaultdict(int)
    first: dict[str, Span] = {}
    for span in spans.values():
        parent = spans.get(span.parent_span_id)
        if parent is None:
            continue  # the handler's own module
        package = _package(parent if span.name == OTHERS else span)
        spent[package] += span.duration_ns if span.name == OTHERS else _self_ns(span)
        first.setdefault(package, span)
    if not spent or max(spent.values()) < MS:
        return ""
    package = max(spent, key=lambda name: spent[name])
    statement = first[package]
    while (up := spans.get(statement.parent_span_id)) is not None and up.parent_span_id in spans:
        statement = up
    where = place(statement)
    return f"{package} {spent[package] / MS:.0f} ms" + (f" via {where}" if where else "")


def _package(span: Span) -> str:
    return str(span.attributes.get("coldspan.import.module", "")).partition(".")[0]


def _beside(trace: Trace) -> str:
    """The line of a module's body that ran longest without importing."""
    bodies = [event for row in trace.rows for event in row.span.events if event.name == "module body"]
    bodies = [
        event for event in bodies if _body_s(event) >= SAMPLED_FROM_S and event.attributes.get("code.line.number")
    ]
    if not bodies:
        return ""
    longest = max(bodies, key=_body_s)
    file = PurePath(str(longest.attributes.get("code.file.path", ""))).name
    line = longest.attributes.get("code.line.number")
    return f"{file}:{line} some {_body_s(longest) * 1e3:.0f} ms, not an import"


def _body_s(event: Event) -> float:
    return float(event.attributes.get("coldspan.module_body.duration", 0.0))
