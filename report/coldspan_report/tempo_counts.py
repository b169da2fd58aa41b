"""What a sample of Tempo's traces must not answer, asked as TraceQL metrics: counts, rates, sums, percentiles.

The rows are those of questions.py. `Counts` asks; how rows come of Tempo's series is pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from typing import TypeAlias

from coldspan_report import questions, traceql
from coldspan_report.answers import Row
from coldspan_report.filters import Filter
from coldspan_report.tempo import SECOND_NS, Labels, Tempo
from coldspan_report.traceql import COLDSTART, ERROR_TYPE, MEMORY, QUANTILE, REQUEST, SERVICE, VERSION

GB = 1 << 30
UNKNOWN = "unknown"
"""The questions' word for an error without a type."""

Values: TypeAlias = list[tuple[Labels, float]]


class Counts:
    """Of all requests. Filters have a begin and an end."""

    def __init__(self, tempo: Tempo) -> None:
        self._tempo = tempo

    def totals(self, filters: Filter) -> dict[str, int]:
        """How many requests were cold and warm. Raises ServerFailed."""
        return {_start(labels): round(number) for labels, number in self._count(filters, REQUEST, COLDSTART)}

    def rows(self, filters: Filter, sampled: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
        """In place of the sample's rows, by question. Raises ServerFailed."""
        totals = self.totals(filters)
        first = self._count(filters, traceql.FIRST, COLDSTART, traceql.TYPE, traceql.PHASE, traceql.PROACTIVE)
        whole = {row["start"]: row for row in sampled["latency"] if row["requests"] >= totals.get(row["start"], 0)}
        versions = self._versions(filters, sampled["versions"], {*whole})
        (scope,), (dropped,) = sampled["scope"], sampled["dropped"]
        services = {row["service"] for row in versions}
        return {
            "scope": [
                scope | {"requests": sum(totals.values()), "services": max(scope["services"], len(services))},
            ],
            "starts": starts(first, totals),
            "versions": versions[: questions.TOP],
            "latency": self._latency(filters, totals, whole),
            "failures": self._failures(filters),
            "billing": [{"requests": sum(totals.values())} | self._billing(filters)],
            "dropped": [self._dropped(filters, dropped["instances"])],
            "timeline": self._timeline(filters),
        }

    def _versions(self, filters: Filter, sampled: Iterable[Row], whole: Set[str]) -> list[Row]:
        spans, by = traceql.spans(filters, REQUEST), (SERVICE, VERSION, COLDSTART)
        steps = self._tempo.steps(traceql.count(spans, SERVICE, VERSION), *_window(filters), _step_s(filters))
        return versions(
            self._count(filters, REQUEST, *by),
            self._quantiles(filters, *by, of=(0.5, 0.95)),
            {_key(labels): min((at for at, number in each.items() if number), default=0) for labels, each in steps},
            {(row["service"], row["version"]): row for row in sampled},
            whole,
        )

    def _latency(self, filters: Filter, totals: Mapping[str, int], whole: Mapping[str, Row]) -> list[Row]:
        values = self._quantiles(filters, COLDSTART, of=(0.5, 0.95, 0.99, 1.0))
        return [whole.get(start) or latency(start, totals[start], values) for start in sorted(totals)]

    def _quantiles(self, filters: Filter, *by: str, of: tuple[float, ...]) -> Values:
        """None is above the longest, which is what 1.0 is: Tempo's own estimate may be twice as long."""
        spans = traceql.spans(filters, REQUEST)
        longest = self._values(filters, traceql.longest(spans, *by))
        return capped(self._values(filters, traceql.quantiles(spans, *by, of=of)), longest)

    def _failures(self, filters: Filter) -> list[Row]:
        rows = [
            row
            for failed, condition in traceql.FAILED.items()
            for row in failures(failed, self._count(filters, condition, ERROR_TYPE, COLDSTART, SERVICE))
        ]
        rows.sort(key=lambda row: (-row["failures"], row["type"], row["failed"]))
        return [row | self._last(filters, row) for row in rows[: questions.TOP]]

    def _last(self, filters: Filter, failure: Row) -> Row:
        """When it failed so last, and the trace of that."""
        error_type = None if failure["type"] == UNKNOWN else failure["type"]
        spans = traceql.spans(filters, traceql.with_error(traceql.FAILED[failure["failed"]], error_type))
        for trace in self._tempo.newest(spans, *_window(filters), 1):
            spans_ns = [span["startTimeUnixNano"] for each in trace.get("spanSets", []) for span in each["spans"]]
            return {"last_ns": max(map(int, spans_ns or [trace["startTimeUnixNano"]])), "example": trace["traceID"]}
        return {"last_ns": filters.since_ns, "example": ""}

    def _billing(self, filters: Filter) -> Row:
        init, told = traceql.INIT, traceql.INIT_S
        inits = [
            *self._total(filters, f"{init} && {told} != nil", told, MEMORY),
            *self._total(filters, f"{init} && {told} = nil", "span:duration", MEMORY),
        ]
        requests = self._total(filters, f"{traceql.BILLED_S} != nil", traceql.BILLED_S, MEMORY)
        (inits_s, inits_gb_s), (requests_s, requests_gb_s) = seconds(inits), seconds(requests)
        return {
            "inits": round(_sum(self._count(filters, init))),
            "inits_s": inits_s,
            "inits_gb_s": inits_gb_s,
            "requests_s": requests_s,
            "requests_gb_s": requests_gb_s,
        }

    def _dropped(self, filters: Filter, instances: int) -> Row:
        """The environments are those of the sample, of which there is one at least where anything was dropped."""
        lost = {
            what: round(_sum(self._total(filters, f"{attribute} != nil", attribute)))
            for what, attribute in traceql.LOST.items()
        }
        return lost | {"instances": max(instances, int(any(lost.values())))}

    def _timeline(self, filters: Filter) -> list[Row]:
        spans, step_s = traceql.spans(filters, REQUEST), _step_s(filters)
        numbers, medians = (
            self._tempo.steps(query, *_window(filters), step_s)
            for query in (traceql.count(spans, COLDSTART), traceql.quantiles(spans, COLDSTART, of=(0.5,)))
        )
        return timeline(numbers, medians, step_s * SECOND_NS)

    def _count(self, filters: Filter, condition: str, *by: str) -> Values:
        return self._values(filters, traceql.count(traceql.spans(filters, condition), *by))

    def _total(self, filters: Filter, condition: str, attribute: str, *by: str) -> Values:
        return self._values(filters, traceql.total(traceql.spans(filters, condition), attribute, *by))

    def _values(self, filters: Filter, query: str) -> Values:
        return [each for each in self._tempo.values(query, *_window(filters)) if each[1]]


def starts(first: Values, totals: Mapping[str, int]) -> list[Row]:
    """Rows of the question starts: those that were first in their environment or cold by their kind, the rest warm."""
    numbers: dict[tuple[str, bool], int] = defaultdict(int)
    for labels, number in first:
        numbers[start_word(labels), bool(labels[COLDSTART])] += round(number)
    if (warm := sum(totals.values()) - sum(numbers.values())) > 0:
        numbers["warm", False] += warm
    requests = sum(numbers.values())
    rows = [
        {"start": start, "requests": number, "cold": number if cold else 0, "share": number / requests}
        for (start, cold), number in numbers.items()
    ]
    return sorted(rows, key=lambda row: (-row["requests"], row["start"]))


def start_word(labels: Labels) -> str:
    """As questions.py has it in SQL, of an invocation that was cold or the first of its environment."""
    kind = str(labels.get(traceql.TYPE) or UNKNOWN)
    if labels[COLDSTART]:
        return "init repeated" if labels.get(traceql.PHASE) == "invoke" else kind
    return "proactive" if labels.get(traceql.PROACTIVE) else f"{kind}, ahead"


def versions(
    numbers: Values,
    quantiles: Values,
    first_ns: Mapping[tuple[str, str], int],
    sampled: Mapping[tuple[str, str], Row],
    whole: Set[str],
) -> list[Row]:
    """Rows of the question versions. A version that the sample does not have begins with the step that it came in."""
    rows: dict[tuple[str, str], Row] = {}
    for labels, number in numbers:
        key = _key(labels)
        begins = [at for at in (first_ns.get(key), sampled.get(key, {}).get("first_ns")) if at]
        row = rows.setdefault(
            key,
            {"service": key[0], "version": key[1], "requests": 0, "cold": 0, "cold_rate": 0.0}
            | {"first_ns": min(begins, default=0)}
            | {f"{start}_p{p}_ms": None for start in questions.START_WORDS for p in (50, 95)},
        )
        row["requests"] += round(number)
        row["cold"] += round(number) if labels[COLDSTART] else 0
        row["cold_rate"] = row["cold"] / row["requests"]
    for labels, value in quantiles:
        name = f"{_start(labels)}_p{round(labels[QUANTILE] * 100)}_ms"
        exact = sampled.get(_key(labels), {}).get(name) if _start(labels) in whole else None
        if _key(labels) in rows:
            rows[_key(labels)][name] = value * 1e3 if exact is None else exact
    cold: dict[str, int] = defaultdict(int)
    for row in rows.values():
        cold[row["service"]] += row["cold"]
    return sorted(rows.values(), key=lambda row: (-cold[row["service"]], row["service"], row["first_ns"]))


def capped(quantiles: Values, longest: Values) -> Values:
    """Each by the longest of its series."""
    most = {frozenset(labels.items()): value for labels, value in longest}
    series = [frozenset((name, value) for name, value in labels.items() if name != QUANTILE) for labels, _ in quantiles]
    return [(labels, min(value, most.get(key, value))) for key, (labels, value) in zip(series, quantiles, strict=True)]


def latency(start: str, requests: int, quantiles: Values) -> Row:
    """A row of the question latency; the quantile 1 is the longest."""
    by_percent = {round(labels[QUANTILE] * 100): value * 1e3 for labels, value in quantiles if _start(labels) == start}
    percentiles = {f"p{percent}_ms": by_percent.get(percent, 0.0) for percent in (50, 95, 99)}
    return {"start": start, "requests": requests, **percentiles, "max_ms": by_percent.get(100, 0.0)}


def failures(failed: str, values: Values) -> list[Row]:
    """Rows of the question failures, without an example."""
    kinds: dict[str, list[tuple[Labels, int]]] = defaultdict(list)
    for labels, number in values:
        kinds[str(labels.get(ERROR_TYPE) or UNKNOWN)].append((labels, round(number)))
    return [
        {
            "failed": failed,
            "type": kind,
            "failures": sum(number for _, number in each),
            "cold": sum(number for labels, number in each if labels.get(COLDSTART)),
            "services": len({labels.get(SERVICE) for labels, _ in each}),
        }
        for kind, each in kinds.items()
    ]


def seconds(values: Values) -> tuple[float, float]:
    """Their sum, and that of GB-seconds, where the memory is known."""
    gb_s = sum(number * labels[MEMORY] / GB for labels, number in values if labels.get(MEMORY))
    return _sum(values), gb_s


def timeline(
    numbers: Iterable[tuple[Labels, Mapping[int, float]]],
    medians: Iterable[tuple[Labels, Mapping[int, float]]],
    step_ns: int,
) -> list[Row]:
    """Rows of the question timeline; a bucket is a step of Tempo's."""
    rows: dict[int, Row] = {}
    for labels, steps in numbers:
        for at, number in steps.items():
            if number:
                empty = {
                    "bucket": 0,
                    "requests": 0,
                    "cold": 0,
                    "first_ns": at,
                    "cold_p50_ms": None,
                    "warm_p50_ms": None,
                }
                row = rows.setdefault(at, empty)
                row["requests"] += round(number)
                row["cold"] += round(number) if labels[COLDSTART] else 0
    for labels, steps in medians:
        for at, value in steps.items():
            if value and at in rows:
                rows[at][f"{_start(labels)}_p50_ms"] = value * 1e3
    begins = sorted(rows)
    return [rows[at] | {"bucket": (at - begins[0]) // step_ns} for at in begins]


def _start(labels: Labels) -> str:
    return "cold" if labels[COLDSTART] else "warm"


def _key(labels: Labels) -> tuple[str, str]:
    return str(labels.get(SERVICE) or ""), str(labels.get(VERSION) or "")


def _sum(values: Values) -> float:
    return sum(number for _, number in values)


def _window(filters: Filter) -> tuple[int, int]:
    return filters.since_ns or 0, filters.until_ns or 0


def _step_s(filters: Filter) -> int:
    """The length of BUCKETS parts of the window, in whole seconds."""
    since_ns, until_ns = _window(filters)
    return max(1, -(-(until_ns - since_ns) // (questions.BUCKETS * SECOND_NS)))
