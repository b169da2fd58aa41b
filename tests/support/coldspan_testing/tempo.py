"""A stand-in for Tempo, which cannot be had here: neither its Go module nor a container.

What it answers is taken from grafana/tempo at ad33aa8 (August 2026): docs/sources/tempo/api_docs (paths, parameters),
pkg/tempopb/tempo.proto in protobuf's JSON (fields that are 0 are left out, ids are base64, those of a search without
leading zeros), pkg/traceql/engine_metrics.go (a step is named by its end; quantiles are interpolated between powers of
two; what is missing is a label "nil"), modules/frontend (limits and their words). Of TraceQL it knows filters, counts,
sums, maxima and quantiles over time by attributes. What it does not know is an error, as it is there.
"""

import json
import math
import operator
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.protobuf import json_format

from coldspan_report import otlp

HOUR_NS = 3_600 * 10**9
MAX_METRICS_NS, MAX_SEARCH_NS, MAX_LIMIT = 24 * HOUR_NS, 168 * HOUR_NS, 262_144
"""Defaults of query_frontend.metrics.max_duration, .search.max_duration and .search.max_result_limit."""
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUS = ("unset", "ok", "error")
OPERATORS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt}
TOKEN = re.compile(r'\s*(`[^`]*`|"(?:\\.|[^"\\])*"|-?\d+(?:\.\d+)?|&&|\|\||!=|=~|[<>=|{}(),]|[A-Za-z_][\w.:]*)')

Row = dict[str, Any]
"""A span by the names that TraceQL has for what is asked of it, with its trace, begin and duration."""
Predicate = Callable[[Row], bool]


class Refused(Exception):
    """Status and text of an error."""


@dataclass(slots=True)
class StandIn:
    url: str
    queries: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    traces: dict[str, otlp.ExportTraceServiceRequest] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    roots: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return f"tempo+{self.url}"


@contextmanager
def server(exports: Iterable[str], tenant: str = "", hidden: int = 0) -> Iterator[StandIn]:
    """One that has those lines of OTLP/JSON. With a tenant it wants to be told it; `hidden` traces it finds, and then
    has not, as between its live store and a block."""
    held = StandIn("")
    for line in exports:
        _ingest(held, otlp.from_json(line.encode()))
    for row in held.rows:
        row["trace:rootName"] = held.roots.get(row["trace"], "<root span not yet received>")
    for trace_id in [*held.traces][:hidden]:
        del held.traces[trace_id]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held.headers.append(dict(self.headers))
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            try:
                if tenant and self.headers.get("X-Scope-OrgID") != tenant:
                    raise Refused(401, "no org id")
                status, text = 200, json.dumps(_answer(held, parts.path, asked))
            except Refused as refused:
                status, text = refused.args
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        held.url = f"http://127.0.0.1:{running.server_port}"
        serving = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        serving.start()
        try:
            yield held
        finally:
            running.shutdown()
            serving.join()


def _ingest(held: StandIn, request: otlp.ExportTraceServiceRequest) -> None:
    for resource_spans in request.resource_spans:
        resource = _attributes("resource", resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                trace = held.traces.setdefault(span.trace_id.hex(), otlp.ExportTraceServiceRequest())
                there = trace.resource_spans.add(resource=resource_spans.resource)
                there.scope_spans.add(scope=scope_spans.scope, spans=[span])
                duration_ns = span.end_time_unix_nano - span.start_time_unix_nano
                known = {
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "start_ns": span.start_time_unix_nano,
                    "duration_ns": duration_ns,
                    "span:name": span.name,
                    "span:kind": KINDS[span.kind],
                    "span:status": STATUS[span.status.code],
                    "span:duration": duration_ns / 1e9,
                }
                if not span.parent_span_id:
                    held.roots[span.trace_id.hex()] = span.name
                held.rows.append(known | resource | _attributes("span", span.attributes))


def _attributes(scope: str, attributes: Iterable[Any]) -> dict[str, Any]:
    return {f"{scope}.{each.key}": getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _answer(held: StandIn, path: str, asked: dict[str, str]) -> dict[str, Any]:
    if path == "/api/search":
        return _search(held, asked)
    if path in ("/api/metrics/query", "/api/metrics/query_range"):
        return _metrics(held, asked)
    if path.startswith("/api/v2/traces/"):
        found = held.traces.get(path.rpartition("/")[2])
        if found is None:
            raise Refused(404, "")
        return {"trace": json_format.MessageToDict(found), "metrics": {}}
    raise Refused(404, "404 page not found\n")


def _search(held: StandIn, asked: dict[str, str]) -> dict[str, Any]:
    query = _parsed(held, asked["q"])
    since_ns, until_ns = int(asked["start"]) * 10**9, int(asked["end"]) * 10**9
    if until_ns - since_ns > MAX_SEARCH_NS:
        received = f"received start={asked['start']} end={asked['end']}"
        raise Refused(400, f"range specified by start and end exceeds 168h0m0s. {received}")
    if int(asked["limit"]) > MAX_LIMIT:
        raise Refused(400, f"limit {asked['limit']} exceeds max limit {MAX_LIMIT}")
    found: dict[str, list[Row]] = defaultdict(list)
    for row in held.rows:
        if since_ns <= row["start_ns"] <= until_ns and query.matches(row):
            found[row["trace"]].append(row)
    newest = sorted(found.values(), key=lambda rows: -min(row["start_ns"] for row in rows))[: int(asked["limit"])]
    traces = [
        {
            "traceID": rows[0]["trace"].lstrip("0"),
            "startTimeUnixNano": str(min(row["start_ns"] for row in rows)),
            "spanSets": [
                {
                    "spans": [
                        {
                            "spanID": row["id"],
                            "startTimeUnixNano": str(row["start_ns"]),
                            "durationNanos": str(row["duration_ns"]),
                        }
                        for row in rows[: int(asked["spss"])]
                    ],
                    "matched": len(rows),
                }
            ],
        }
        for rows in newest
    ]
    return {"traces": traces, "metrics": {"totalBlocks": 1}} if traces else {"metrics": {}}


def _metrics(held: StandIn, asked: dict[str, str]) -> dict[str, Any]:
    query = _parsed(held, asked["q"])
    since_ns, until_ns = int(asked["start"]), int(asked["end"])
    if until_ns - since_ns > MAX_METRICS_NS:
        raise Refused(400, "metrics query time range exceeds the maximum allowed duration of 24h0m0s")
    step_ns = int(asked["step"].removesuffix("s")) * 10**9 if "step" in asked else 0
    if step_ns:
        since_ns, until_ns = since_ns // step_ns * step_ns, -(-until_ns // step_ns) * step_ns
    cells: dict[tuple[Any, ...], dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in held.rows:
        if since_ns + bool(step_ns) <= row["start_ns"] <= until_ns and query.matches(row):
            key = tuple(row.get(name) for name in query.by)
            step = -(-(row["start_ns"] - since_ns) // step_ns) if step_ns else 0
            cells[key][since_ns + step * step_ns].append(row)
    series: list[dict[str, Any]] = []
    for key, by_step in cells.items():
        for labels, aggregate in query.aggregates():
            named = [*zip(query.by, key, strict=True), *labels]
            values = {at: aggregate(rows) for at, rows in by_step.items()}
            samples = [{"timestampMs": str(at // 10**6)} | _unless_0(value) for at, value in sorted(values.items())]
            held_values = {"samples": samples} if step_ns else _unless_0(next(iter(values.values())))
            series.append({"labels": [{"key": name, "value": _any(value)} for name, value in named]} | held_values)
    return {"series": series, "metrics": {}} if series else {"metrics": {}}


def _unless_0(value: float) -> dict[str, float]:
    return {"value": value} if value else {}


def _any(value: object) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
    return {"stringValue": "nil" if value is None else value}


@dataclass(slots=True)
class Query:
    matches: Predicate
    function: str = ""
    attribute: str = ""
    quantiles: tuple[float, ...] = ()
    by: tuple[str, ...] = ()

    def aggregates(self) -> Iterator[tuple[list[tuple[str, float]], Callable[[list[Row]], float]]]:
        def values(rows: list[Row]) -> list[float]:
            return [float(row[self.attribute]) for row in rows if row.get(self.attribute) is not None]

        match self.function:
            case "count_over_time":
                yield [], lambda rows: float(len(rows))
            case "sum_over_time":
                yield [], lambda rows: math.fsum(values(rows))
            case "max_over_time":
                yield [], lambda rows: max(values(rows))
            case "quantile_over_time":
                for p in self.quantiles:
                    yield [("p", p)], partial(log2_quantile, p)


def log2_quantile(p: float, rows: Iterable[Row]) -> float:
    """Of their durations in s, as Log2Quantile of pkg/traceql/engine_metrics.go: a bucket ends at a power of two ns."""
    buckets: dict[int, int] = defaultdict(int)
    for row in rows:
        buckets[1 << (row["duration_ns"] - 1).bit_length()] += 1
    ends = sorted(buckets)
    wanted, seen = max(1, math.ceil(p * sum(buckets.values()))), 0
    for before, end in zip([ends[0] / 2, *ends], ends, strict=False):
        if seen + buckets[end] > wanted:
            share = (wanted - seen) / buckets[end]
            return float(2 ** (math.log2(before) + (math.log2(end) - math.log2(before)) * share)) / 1e9
        seen += buckets[end]
        if seen == wanted:
            return end / 1e9
    raise AssertionError


def _parsed(held: StandIn, text: str) -> Query:
    held.queries.append(text)
    try:
        return _Parser(text).query()
    except (LookupError, ValueError) as error:
        raise Refused(400, f"invalid TraceQL query: parse error at {error}") from error


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        while text[at:].strip():
            token = TOKEN.match(text, at)
            if token is None:
                raise ValueError(text[at:])
            self.tokens.append(token[1])
            at = token.end()

    def query(self) -> Query:
        self.take("{")
        query = Query(self.either())
        self.take("}")
        if self.next_is("|"):
            query.function = self.tokens.pop(0)
            arguments = self.listed()
            query.attribute = arguments[0] if arguments else ""
            query.quantiles = tuple(map(float, arguments[1:]))
            query.by = self.listed() if self.next_is("by") else ()
        elif self.next_is("with"):
            self.tokens = self.tokens[len(("(", "most_recent", "=", "true", ")")) :]
        if self.tokens:
            raise ValueError(self.tokens)
        return query

    def either(self) -> Predicate:
        parts = [self.both()]
        while self.next_is("||"):
            parts.append(self.both())
        return lambda row: any(part(row) for part in parts)

    def both(self) -> Predicate:
        parts = [self.term()]
        while self.next_is("&&"):
            parts.append(self.term())
        return lambda row: all(part(row) for part in parts)

    def term(self) -> Predicate:
        if self.next_is("("):
            inner = self.either()
            self.take(")")
            return inner
        name, comparison, constant = (self.tokens.pop(0) for _ in range(3))
        if comparison not in (*OPERATORS, "=~"):
            raise ValueError(comparison)
        return lambda row: _compared(row.get(name), comparison, constant)

    def listed(self) -> tuple[str, ...]:
        self.take("(")
        found: list[str] = []
        while not self.next_is(")"):
            found.append(self.tokens.pop(0))
            self.next_is(",")
        return tuple(found)

    def next_is(self, token: str) -> bool:
        if self.tokens[:1] == [token]:
            self.tokens.pop(0)
            return True
        return False

    def take(self, token: str) -> None:
        if not self.next_is(token):
            raise ValueError(self.tokens)


def _compared(value: Any, comparison: str, constant: str) -> bool:
    if constant == "nil":
        return (value is None) == (comparison == "=")
    if value is None:
        return False
    if comparison == "=~":
        return re.fullmatch(constant[1:-1], value) is not None
    wanted: Any = {"true": True, "false": False}.get(constant, constant)
    if isinstance(wanted, str):
        if wanted[0] == "`":
            wanted = wanted[1:-1]
        elif wanted[0] == '"' or re.fullmatch(r"-?[\d.]+", wanted):
            wanted = json.loads(wanted)
    if isinstance(value, bool) != isinstance(wanted, bool) or isinstance(value, str) != isinstance(wanted, str):
        return False
    return bool(OPERATORS[comparison](value, wanted))
