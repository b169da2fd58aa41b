"""What a sample of Tempo's traces must not answer, asked as TraceQL metrics: counts, rates, sums, percentiles.

The rows are those of questions.py. `Counts` asks; how rows come of Tempo's series is pure.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from coldspan_report import questions, traceql
from coldspan_report.answers import Row
from coldspan_report.filters import Filter
from coldspan_report.tempo import SECOND_NS, Labels, Tempo
from coldspan_report.traceql import COLDSTART, ERROR_TYPE, MEMORY, QUANTILE, REQUEST, SERVICE, VERSION

GB = 1 << 30
NONE_WAITED = ", ahead"

Values: TypeAlias = list[tuple[Labels, float]]


class Counts:
    """Of the spans within a window and the cold or warm requests that the sample does not have all of."""

    def __init__(self, tempo: Tempo, window: Filter, cut: frozenset[str]) -> None:
        self._tempo = tempo
        self._window = window
        self._cut = cut

    def totals(self, filters: Filter) -> dict[str, int]:
        """How many requests were cold and warm. Raises ServerFailed."""
        return counted(self._values(filters, traceql.count(traceql.spans(filters, REQUEST), COLDSTART)))

    def rows(self, filters: Filter, sampled: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
        """In place of the sample's rows, by question. Raises ServerFailed."""
        totals = self.totals(filters)
        first = self._values(
            filters,
            traceql.count(
                traceql.spans(filters, traceql.FIRST), COLDSTART, traceql.TYPE, traceql.PHASE, traceql.PROACTIVE
            ),
        )
        versions = self._versions(filters, sampled["versions"])
        (scope,) = sampled["scope"]
        return {
            "scope": [
                scope | {"requests": sum(totals.values()), "services": max(scope["services"], len(_services(versions)))}
            ],
            "starts": starts(first, totals),
            "versions": versions[: questions.TOP],
            "latency": self._latency(filters, totals, sampled["latency"]),
            "failures": self._failures(filters),
            "billing": [self._billing(filters, sum(totals.values()))],
            "dropped": [self._dropped(filters, sampled["dropped"][0])],
            "timeline": self._timeline(filters),
        }

    def _versions(self, filters: Filter, sampled: Iterable[Row]) -> list[Row]:
        requests = traceql.spans(filters, REQUEST)
        by = (SERVICE, VERSION, COLDSTART)
        since_ns, until_ns, step_s = self._steps(filters)
        steps = self._tempo.steps(traceql.count(requests, SERVICE, VERSION), since_ns, until_ns, step_s)
        return versions(
            self._values(filters, traceql.count(requests, *by)),
            self._values(filters, traceql.quantiles(requests, *by, of=(0.5, 0.95))),
            {_key(labels): min((at for at, number in each.items() if number), default=0) for labels, each in steps},
            {(row["service"], row["version"]): row for row in sampled},
            self._cut,
        )

    def _latency(self, filters: Filter, totals: Mapping[str, int], sampled: Iterable[Row]) -> list[Row]:
        requests = traceql.spans(filters, REQUEST)
        quantiles = self._values(filters, traceql.quantiles(requests, COLDSTART, of=(0.5, 0.95, 0.99)))
        longest = self._values(filters, traceql.longest(requests, COLDSTART))
        of_sample = {row["start"]: row for row in sampled}
        rows = []
        for start, number in sorted(totals.items()):
            known = of_sample.get(start, {}) if start not in self._cut else {}
            percentiles = {
                f"p{round(labels[QUANTILE] * 100)}_ms": seconds * 1e3
                for labels, seconds in quantiles
                if _start(labels) == start
            }
            most = max((seconds * 1e3 for labels, seconds in longest if _start(labels) == start), default=0.0)
            rows.append((known or {"start": start, **percentiles, "max_ms": most}) | {"requests": number})
        return rows

    def _failures(self, filters: Filter) -> list[Row]:
        found = []
        for failed, condition in traceql.FAILED.items():
            spans = traceql.spans(filters, condition)
            rows = failures(failed, self._values(filters, traceql.count(spans, ERROR_TYPE, COLDSTART, SERVICE)))
            found += [(condition, row) for row in rows]
        found.sort(key=lambda each: (-each[1]["failures"], each[1]["type"], each[1]["failed"]))
        return [row | self._last(filters, condition, row["type"]) for condition, row in found[: questions.TOP]]

    def _last(self, filters: Filter, condition: str, error_type: str) -> Row:
        """When it failed so last, and the trace of that."""
        since_ns, until_ns = self._within(filters)
        with_error = traceql.with_error(condition, None if error_type == UNKNOWN else error_type)
        found = self._tempo.newest(traceql.spans(filters, with_error), since_ns, until_ns, 1)
        if not found:
            return {"last_ns": since_ns, "example": ""}
        spans = [span for spanset in found[0].get("spanSets", []) for span in spanset.get("spans", [])]
        starts_ns = [int(span["startTimeUnixNano"]) for span in spans] or [int(found[0]["startTimeUnixNano"])]
        return {"last_ns": max(starts_ns), "example": found[0]["traceID"]}

    def _billing(self, filters: Filter, requests: int) -> Row:
        init, told = traceql.INIT, f"{traceql.INIT_S} != nil"
        measured = traceql.total(traceql.spans(filters, f"{init} && {told}"), traceql.INIT_S, MEMORY)
        others = traceql.total(traceql.spans(filters, f"{init} && {traceql.INIT_S} = nil"), "span:duration", MEMORY)
        billed = traceql.total(traceql.spans(filters, f"{traceql.BILLED_S} != nil"), traceql.BILLED_S, MEMORY)
        inits = self._values(filters, measured) + self._values(filters, others)
        inits_s, inits_gb_s = seconds(inits)
        requests_s, requests_gb_s = seconds(self._values(filters, billed))
        return {
            "requests": requests,
            "inits": round(sum(number for _, number in self._count(filters, init))),
            "inits_s": inits_s,
            "inits_gb_s": inits_gb_s,
            "requests_s": requests_s,
            "requests_gb_s": requests_gb_s,
        }

    def _dropped(self, filters: Filter, sampled: Row) -> Row:
        """The environments are those of the sample, of which there is one at least where anything was dropped."""
        lost = {
            what: round(
                sum(
                    number
                    for _, number in self._values(
                        filters, traceql.total(traceql.spans(filters, f"{attribute} != nil"), attribute)
                    )
                )
            )
            for what, attribute in traceql.LOST.items()
        }
        return lost | {"instances": max(sampled["instances"], int(any(lost.values())))}

    def _timeline(self, filters: Filter) -> list[Row]:
        requests = traceql.spans(filters, REQUEST)
        since_ns, until_ns, step_s = self._steps(filters)
        numbers = self._tempo.steps(traceql.count(requests, COLDSTART), since_ns, until_ns, step_s)
        medians = self._tempo.steps(traceql.quantiles(requests, COLDSTART, of=(0.5,)), since_ns, until_ns, step_s)
        return timeline(numbers, medians, step_s * SECOND_NS)

    def _count(self, filters: Filter, condition: str) -> Values:
        return self._values(filters, traceql.count(traceql.spans(filters, condition)))

    def _values(self, filters: Filter, query: str) -> Values:
        return [each for each in self._tempo.values(query, *self._within(filters)) if each[1]]

    def _within(self, filters: Filter) -> tuple[int, int]:
        """A side of a comparison is within the whole window where it names none."""
        bounded = replace(
            filters,
            since_ns=self._window.since_ns if filters.since_ns is None else filters.since_ns,
            until_ns=self._window.until_ns if filters.until_ns is None else filters.until_ns,
        )
        return bounded.since_ns or 0, bounded.until_ns or 0

    def _steps(self, filters: Filter) -> tuple[int, int, int]:
        """The window, and the length of BUCKETS parts of it in whole seconds."""
        since_ns, until_ns = self._within(filters)
        return since_ns, until_ns, max(1, -(-(until_ns - since_ns) // (questions.BUCKETS * SECOND_NS)))


UNKNOWN = "unknown"
"""The questions' word for an error without a type."""


def counted(values: Values) -> dict[str, int]:
    return {_start(labels): round(number) for labels, number in values}


def starts(first: Values, totals: Mapping[str, int]) -> list[Row]:
    """Rows of the question starts: those that were first in their environment or cold by their kind, the rest warm."""
    numbers: dict[tuple[str, bool], int] = defaultdict(int)
    for labels, number in first:
        numbers[start_word(labels), bool(labels[COLDSTART])] += round(number)
    requests = sum(totals.values())
    if warm := requests - sum(numbers.values()):
        numbers["warm", False] += warm
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
    return "proactive" if labels.get(traceql.PROACTIVE) else kind + NONE_WAITED


def versions(
    numbers: Values,
    quantiles: Values,
    first_ns: Mapping[tuple[str, str], int],
    sampled: Mapping[tuple[str, str], Row],
    cut: frozenset[str],
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
        exact = None if _start(labels) in cut else sampled.get(_key(labels), {}).get(name)
        if _key(labels) in rows:
            rows[_key(labels)][name] = value * 1e3 if exact is None else exact
    cold: dict[str, int] = defaultdict(int)
    for row in rows.values():
        cold[row["service"]] += row["cold"]
    return sorted(rows.values(), key=lambda row: (-cold[row["service"]], row["service"], row["first_ns"]))


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
    return sum(number for _, number in values), gb_s


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


def _services(rows: Iterable[Row]) -> set[str]:
    return {row["service"] for row in rows}
