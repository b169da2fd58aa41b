"""Traces as plain data, from the exports that they came in. Pure. Names are OTLP's."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from coldspan_report import otlp

SERVER = trace_pb2.Span.SPAN_KIND_SERVER
ERROR = trace_pb2.Status.STATUS_CODE_ERROR

Value = Any
"""bool, int, float, str, bytes, a list of such, a dict of such by name, or None."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened during a span."""

    name: str
    time_unix_nano: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Span:
    """Ids are hex; `parent_span_id` is empty where there is no parent."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    start_time_unix_nano: int
    end_time_unix_nano: int
    status_code: int
    attributes: Mapping[str, Value]
    events: tuple[Event, ...] = ()

    @property
    def duration_ns(self) -> int:
        return self.end_time_unix_nano - self.start_time_unix_nano


@dataclass(frozen=True, slots=True)
class Row:
    """A span at its place in the tree; depth 0 has no parent, or one that is not here."""

    depth: int
    span: Span


@dataclass(frozen=True, slots=True)
class Trace:
    """What belongs to one request: its SERVER span and what is below, or an init of its own.

    Requests whose callers were in one trace share its id, and are traces of their own here.
    """

    trace_id: str
    rows: tuple[Row, ...]
    """In tree order: parents before children, siblings by start."""

    @property
    def root(self) -> Span:
        """The SERVER span, where there is one."""
        roots = [row.span for row in self.rows if row.depth == 0]
        return next((span for span in roots if span.kind == SERVER), roots[0])

    @property
    def start_time_unix_nano(self) -> int:
        return min(row.span.start_time_unix_nano for row in self.rows)

    @property
    def end_time_unix_nano(self) -> int:
        """Of the span that ends last: `after response` ends after the SERVER span."""
        return max(row.span.end_time_unix_nano for row in self.rows)


def spans_of(request: otlp.ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.name,
            span.kind,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            span.status.code,
            _attributes(span.attributes),
            tuple(Event(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events),
        )
        for span in otlp.spans(request)
    ]


def traces_of(spans: Iterable[Span]) -> list[Trace]:
    """By start. A trace's spans may come in several exports, and a span twice: delivery is at least once."""
    by_id: dict[str, dict[str, Span]] = {}
    for span in spans:
        by_id.setdefault(span.trace_id, {}).setdefault(span.span_id, span)
    traces = [
        Trace(trace_id, tuple(rows)) for trace_id, found in by_id.items() for rows in _requests(_trees(found.values()))
    ]
    return sorted(traces, key=lambda trace: trace.start_time_unix_nano)


def _trees(spans: Iterable[Span]) -> Iterator[list[Row]]:
    """By start of their roots. Spans that are their own ancestors are in a tree of their own, after the others."""
    ordered = sorted(spans, key=lambda span: span.start_time_unix_nano)
    known = {span.span_id for span in ordered}
    children: dict[str, list[Span]] = {}
    for span in ordered:
        children.setdefault(span.parent_span_id, []).append(span)
    unseen = dict.fromkeys(span.span_id for span in ordered)
    for root in [*(span for span in ordered if span.parent_span_id not in known), *ordered]:
        if root.span_id in unseen:
            yield list(_descend(root, children, unseen))


def _descend(root: Span, children: Mapping[str, Sequence[Span]], unseen: dict[str, None]) -> Iterator[Row]:
    waiting = [Row(0, root)]
    while waiting:
        row = waiting.pop()
        if row.span.span_id in unseen:
            del unseen[row.span.span_id]
            yield row
            waiting += [Row(row.depth + 1, child) for child in reversed(children.get(row.span.span_id, ()))]


def _requests(trees: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """One for each root that is a SERVER span; any other root goes with the one before it."""
    rows: list[Row] = []
    has_server = False
    for tree in trees:
        is_server = tree[0].span.kind == SERVER
        if is_server and has_server:
            yield rows
            rows = []
        rows = [*rows, *tree]
        has_server = has_server or is_server
    yield rows


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)
