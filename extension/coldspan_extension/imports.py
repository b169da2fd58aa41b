"""The import tree, from what the wrapper saw of each import to the spans that matter. Pure.

Every import is known, few are worth a span: `Policy` says which. What is cut is summed under its parent in one span
`other imports`, so that a parent's children and its `coldspan.self_time` always add up to its duration. What its body
did beside importing was sampled: `module body` events, inside that self time.
"""

from coldspan_extension import attributes, semconv
from coldspan_extension.ids import Ids
from coldspan_extension.importlog import Import, ImportLog, Sample
from coldspan_extension.span import INTERNAL, Attributes, Event, Span

US = 1_000
SECOND = 1_000_000_000
MISSING_BYTECODE_FROM_NS = 1_000_000
MAX_SPANS = 60
"""Of one load or handler, unless all are asked for."""
MAX_ERRORS = 10
"""Of one sum: a package tries some optional modules, few try more."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Policy:
    """Which imports become spans: all of them, or those of `threshold_ns` and more, the `limit` longest of them."""

    __slots__ = ("limit", "threshold_ns")

    def __init__(self, threshold_ns: int, limit: int) -> None:
        self.threshold_ns = threshold_ns
        self.limit = limit


class _Node:
    """An import at its place, with its end made sure of."""

    __slots__ = ("children", "duration_ns", "end_ns", "found", "parent", "start_ns")

    def __init__(self, found: Import, parent: "_Node | None", begin_ns: int, end_ns: int, nodes: "list[_Node]") -> None:
        """Adds itself to `nodes`, and what it led to."""
        self.found = found
        self.parent = parent
        self.start_ns = _within(found.began_ns, begin_ns, end_ns)
        self.end_ns = _within(found.ended_ns or end_ns, self.start_ns, end_ns)
        self.duration_ns = self.end_ns - self.start_ns
        nodes.append(self)
        self.children = [_Node(child, self, self.start_ns, self.end_ns, nodes) for child in found.children]

    def walk(self) -> "Iterator[_Node]":
        yield self
        for child in self.children:
            yield from child.walk()


def import_spans(parent: Span, label: str, ids: Ids, log: ImportLog, policy: Policy) -> list[Span]:
    """The spans of the imports that ran during `parent`, whose label is `label`; the parent is told their sum.

    A parent that failed, or was cut, has the imports that were on their way then, whatever they took.
    """
    start_ns, end_ns = parent.start_ns, parent.end_ns
    nodes: list[_Node] = []
    roots = [_Node(found, None, start_ns, end_ns, nodes) for found in log.between(start_ns, end_ns)]
    if not nodes:
        return []
    shown = _shown(nodes, policy, failed=parent.error)
    tree = _Tree(ids, log, shown)
    tree.below(parent, label, roots)
    parent.attributes[attributes.IMPORT_COUNT] = len(nodes)
    _tell_missing_bytecode(parent, [node.found for node in nodes])
    _tell_module_bodies(parent, log, nodes, tree.spans)
    return list(tree.spans.values()) + tree.others


def _shown(nodes: list[_Node], policy: Policy, failed: bool) -> set[_Node]:
    """Longer first; whoever is shown has its parents shown, which are longer still. The handler's module always is."""
    wanted = [node for node in nodes if node.duration_ns >= policy.threshold_ns]
    wanted = sorted(wanted, key=lambda node: -node.duration_ns)[: policy.limit]
    roots = [node for node in nodes if node.parent is None]
    wanted += roots if len(roots) == 1 else []
    wanted += [node for node in nodes if not node.found.ended_ns][: max(policy.limit, 1)]
    if failed:
        wanted += [node for node in nodes if node.found.error and _led_to_failure(node)]
    shown = set()
    for node in wanted:
        up: _Node | None = node
        while up is not None and up not in shown:
            shown.add(up)
            up = up.parent
    return shown


def _led_to_failure(node: _Node) -> bool:
    """Whether everything around it failed as well: it was not caught."""
    return node.parent is None or (bool(node.parent.found.error) and _led_to_failure(node.parent))


class _Tree:
    """Spans made from the outside in, by node."""

    def __init__(self, ids: Ids, log: ImportLog, shown: set[_Node]) -> None:
        self.spans: dict[_Node, Span] = {}
        self.others: list[Span] = []
        self._thread = log.thread  # the outermost parent's: what others import beside it, it does not wait for
        self._ids = ids
        self._log = log
        self._shown = shown

    def below(self, parent: Span, label: str, nodes: list[_Node]) -> None:
        """The children of a span that is there already, and what it spent itself."""
        cut = [node for node in nodes if node not in self._shown and self._is_waited_for(node)]
        counts: dict[str, int] = {}
        spent_ns = 0
        for node in nodes:
            if node in self._shown:
                name = f"import {node.found.module}"
                counts[name] = counts.get(name, 0) + 1
                if self._is_waited_for(node):
                    spent_ns += node.duration_ns
                self._import(parent, node, name, f"{label}/{name}#{counts[name]}")
        if cut:
            spent_ns += self._others(parent, f"{label}/other imports#1", cut)
        parent.attributes[attributes.SELF_TIME] = max(0, parent.end_ns - parent.start_ns - spent_ns) / SECOND

    def _is_waited_for(self, node: _Node) -> bool:
        return node.parent is not None or node.found.thread == self._thread

    def _import(self, parent: Span, node: _Node, name: str, label: str) -> None:
        found = node.found
        span = self._span(parent, name, label, node.start_ns, node.end_ns)
        self.spans[node] = span
        told = span.attributes
        told[attributes.IMPORT_MODULE] = found.module
        if found.thread != self._thread:
            told[semconv.THREAD_ID] = int(found.thread)
        source = self._log.source_of(found)
        if source:
            told[attributes.IMPORT_SOURCE] = source
        if found.found_ns:
            inside = sum(child.duration_ns for child in node.children if child.end_ns <= found.found_ns)
            told[attributes.IMPORT_FIND] = max(0, found.found_ns - found.began_ns - inside) / SECOND
        if found.compile_ns:
            told[attributes.IMPORT_COMPILED] = True
            told[attributes.IMPORT_COMPILE] = found.compile_ns / SECOND
        importer = self._log.file_of(found.importer)
        if importer and found.line:
            told[semconv.CODE_FILE_PATH] = importer
            told[semconv.CODE_LINE_NUMBER] = found.line
        if found.error:
            told[attributes.IMPORT_ERROR] = found.error
            if parent.error and _led_to_failure(node):
                span.fail(found.error.partition(":")[0])
        if not found.ended_ns and (parent.error or attributes.TRUNCATED in parent.attributes):
            told[attributes.TRUNCATED] = True  # else its end alone was lost
        self.below(span, label, node.children)

    def _others(self, parent: Span, label: str, cut: list[_Node]) -> int:
        """One span for all, as long as they took together, from where the first began: they did not overlap it all."""
        took_ns = sum(node.duration_ns for node in cut)
        start_ns = min(min(node.start_ns for node in cut), parent.end_ns - took_ns)
        span = self._span(parent, "other imports", label, start_ns, start_ns + took_ns)
        summed = [node.found for root in cut for node in root.walk()]
        span.attributes[attributes.IMPORT_COUNT] = len(summed)
        if errors := [f"{found.module}: {found.error}" for found in summed if found.error]:
            more = len(errors) - MAX_ERRORS
            span.attributes[attributes.IMPORT_ERRORS] = errors[:MAX_ERRORS] + [f"and {more} more"] * (more > 0)
        self.others.append(span)
        return took_ns

    def _span(self, parent: Span, name: str, label: str, start_ns: int, end_ns: int) -> Span:
        return Span(name, parent.trace_id, self._ids.span(label), parent.span_id, start_ns, end_ns, {}, INTERNAL)


def _tell_missing_bytecode(parent: Span, found: list[Import]) -> None:
    compiled = [one.compile_ns for one in found if one.compile_ns]
    took_ns = sum(compiled)
    if took_ns < MISSING_BYTECODE_FROM_NS:
        return
    parent.attributes[attributes.IMPORT_COMPILE] = took_ns / SECOND
    modules = "1 module" if len(compiled) == 1 else f"{len(compiled)} modules"
    told: Attributes = {
        attributes.IMPORT_COUNT: len(compiled),
        attributes.ADVICE: f"{took_ns / 1e6:.0f} ms compiling {modules}: ship .pyc",
    }
    parent.events.append(Event("missing bytecode", parent.end_ns, told))


def _tell_module_bodies(parent: Span, log: ImportLog, nodes: list[_Node], spans: dict[_Node, Span]) -> None:
    """Samples, summed by line, on the span of their module or of the nearest one around it that is shown."""
    lines: dict[tuple[str, int], list[Sample]] = {}
    for sample in log.samples:
        if parent.start_ns <= sample.at_ns <= parent.end_ns:
            lines.setdefault((sample.module, sample.line), []).append(sample)
    by_module = {node.found.module: node for node in nodes}
    for (module, line), samples in lines.items():
        took_ns = min(sum(sample.took_ns for sample in samples), parent.end_ns - parent.start_ns)
        node = by_module.get(module)
        while node is not None and node not in spans:
            node = node.parent
        span = spans[node] if node is not None else parent
        told: Attributes = {
            semconv.CODE_FILE_PATH: log.file_of(module) or module,
            semconv.CODE_LINE_NUMBER: line,
            attributes.MODULE_BODY: took_ns / SECOND,
            attributes.MODULE_BODY_SHARE: round(took_ns / max(parent.end_ns - parent.start_ns, 1), 3),
            attributes.SAMPLED: True,
        }
        span.events.append(Event("module body", samples[0].at_ns, told))


def _within(ns: int, begin_ns: int, end_ns: int) -> int:
    """In whole microseconds, and not outside of that time."""
    ns -= ns % US
    return begin_ns if ns < begin_ns else min(ns, end_ns)
