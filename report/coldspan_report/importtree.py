"""Import trees as plain data: of one trace, from its spans, or of many cold starts, from sums by path. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from coldspan_report import coldstart, words
from coldspan_report.traces import Span, Trace


@dataclass(frozen=True, slots=True)
class ImportNode:
    """An import with what it imported in turn, in order; or what all of them ran in, such as `load handler`."""

    name: str
    """The module's; of other nodes the span's."""
    total_ns: int
    self_ns: int
    """Without the imports below it."""
    source: str = ""
    """function, layer, runtime or stdlib; empty where that is not known."""
    place: str = ""
    """Of the import statement, such as app.py:6."""
    count: int = 1
    """How many imports it stands for; where cold starts are added up, in how many of them it was."""
    children: tuple["ImportNode", ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """A node as a cell of an icicle: where it begins and how wide it is, as shares of the whole, 0 to 1."""

    node: ImportNode
    depth: int
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class PathSum:
    """What the imports at one path cost, added up over cold starts."""

    path: tuple[str, ...]
    """Modules from the handler's down, such as ("app", "boto3")."""
    self_ns: int
    count: int
    source: str = ""


def trees_of(trace: Trace) -> list[ImportNode]:
    """One for each span that imported: `load handler`, a handler that imports when it is called; and one for each
    import in a thread of its own, which nobody waited for."""
    below: dict[str, list[ImportNode]] = defaultdict(list)
    roots: list[ImportNode] = []
    for row in reversed(trace.rows):  # children come before their parents, the last one first
        span = row.span
        children = tuple(reversed(below.pop(span.span_id, [])))
        node = _node(span, children)
        if not coldstart.is_import(span):
            roots += [node] if children else []
        elif "thread.id" in span.attributes or row.depth == 0:
            roots.append(node)
        else:
            below[span.parent_span_id].append(node)
    return roots[::-1]


def _node(span: Span, children: tuple[ImportNode, ...]) -> ImportNode:
    told = span.attributes
    left_ns = span.duration_ns - sum(child.total_ns for child in children)
    return ImportNode(
        str(told.get("coldspan.import.module", span.name)),
        span.duration_ns,
        max(left_ns, 0),
        str(told.get("coldspan.import.source", "")),
        words.place(span),
        _count(told.get("coldspan.import.count")) if span.name == coldstart.OTHERS else 1,
        children,
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) else 1


def added_up(sums: Iterable[PathSum], root: str) -> ImportNode:
    """The tree of all paths below a root of that name, costly branches first. A path whose parents are not among the
    sums has them all the same, with nothing of their own."""
    found: dict[tuple[str, ...], PathSum] = {}
    for one in sums:
        same = found.get(one.path)
        found[one.path] = (
            replace(one, self_ns=one.self_ns + same.self_ns, count=max(one.count, same.count)) if same else one
        )
    for path in list(found):
        for length in range(1, len(path)):
            found.setdefault(path[:length], PathSum(path[:length], 0, found[path].count))
    below: dict[tuple[str, ...], list[ImportNode]] = defaultdict(list)
    for path in sorted(found, key=len, reverse=True):
        if not path:
            continue
        below[path[:-1]].append(_summed(path[-1], found[path], below.pop(path, [])))
    top = found.get((), PathSum((), 0, max((one.count for one in found.values()), default=0)))
    return _summed(root, top, below.pop((), []))


def _summed(name: str, own: PathSum, children: list[ImportNode]) -> ImportNode:
    ordered = tuple(sorted(children, key=lambda child: -child.total_ns))
    total_ns = own.self_ns + sum(child.total_ns for child in ordered)
    return ImportNode(name, total_ns, own.self_ns, own.source, "", own.count, ordered)


def placed(root: ImportNode) -> Iterator[Placed]:
    """Each node below its parent, siblings side by side from the left: what a node leaves free below it is its own.
    Parents come before their children."""
    waiting = [Placed(root, 0, 0.0, 1.0)]
    while waiting:
        cell = waiting.pop()
        yield cell
        children = cell.node.children
        whole_ns = max(cell.node.total_ns, sum(child.total_ns for child in children), 1)
        left, cells = cell.left, []
        for child in children:
            width = cell.width * child.total_ns / whole_ns
            cells.append(Placed(child, cell.depth + 1, left, width))
            left += width
        waiting += reversed(cells)


def costliest(root: ImportNode, most: int) -> list[ImportNode]:
    """The modules that took most themselves; a sum of short imports is none."""
    nodes = [cell.node for cell in placed(root) if cell.node.self_ns and cell.node.name != coldstart.OTHERS]
    return sorted(nodes, key=lambda node: -node.self_ns)[:most]
