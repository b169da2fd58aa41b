"""What a report says, as plain data for any renderer: the answers to the questions, and what follows from them.

Pure but for the engine, which is asked. `as_json` is what `--json` prints, and answers.schema.json describes it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from coldspan_report import comparison, questions
from coldspan_report.comparison import Change, Difference
from coldspan_report.errors import NothingFound
from coldspan_report.filters import Filter, Sides, iso
from coldspan_report.introductions import Introduction, introductions

FORMAT = 1
"""Of the JSON: a new number when a reader of the old one would go wrong."""
MILLION = 1_000_000

Row = dict[str, Any]


class Engine(Protocol):
    """Holds the relation, and answers questions about it."""

    def restrict(self, condition: str) -> None: ...

    def rows(self, sql: str) -> list[Row]: ...


class Counts(Protocol):
    """Of an engine that holds a sample of the spans: what it must not answer, counted elsewhere over all of them."""

    def totals(self, filters: Filter) -> dict[str, int]:
        """How many requests were cold and warm."""
        ...

    def rows(self, filters: Filter, sampled: Mapping[str, list[Row]]) -> dict[str, list[Row]]:
        """By question, in place of the sample's."""
        ...


@dataclass(slots=True)
class Reading:
    """What the files had besides spans."""

    broken: int = 0
    """Exports that could not be read, and spans without an id or a time."""
    first_broken: str = ""
    """File, line and why."""
    duplicates: int = 0
    """Spans that came more than once, and count once: delivery is at least once, and logs overlap."""
    foreign: Counter[str] = field(default_factory=Counter)
    """Lines in another format, by its name."""
    other: int = 0
    """Lines that are no traces: the rest of a log."""
    sample: str = ""
    """What the spans are of all that there are, where that is not everything."""

    def warnings(self) -> list[str]:
        found = [
            f"{count} lines are {name}, not traces in OTLP/JSON: skipped"
            for name, count in sorted(self.foreign.items())
        ]
        if self.sample:
            found.insert(0, self.sample)
        if self.duplicates:
            found.append(f"{self.duplicates} spans came more than once: counted once")
        if self.broken:
            found.append(f"{self.broken} broken lines skipped; the first: {self.first_broken}")
        return found


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests that an answer may rest on, of how many."""

    cold: int
    cold_of: int
    warm: int
    warm_of: int
    questions: tuple[str, ...]
    """Whose rows are of the sample; those of the others are of all requests."""

    @property
    def says(self) -> str:
        return (
            f"a sample is read, the newest traces (--sample): {self.cold:,} of {self.cold_of:,} cold requests and "
            f"{self.warm:,} of {self.warm_of:,} warm ones; counts and rates are of all, and percentiles of requests "
            "estimates of all"
        )


@dataclass(frozen=True, slots=True)
class Bill:
    """What init costs, in the currency of the price."""

    price_per_gb_s: float
    requests: int
    inits: int
    inits_s: float
    inits_gb_s: float
    inits_per_million_requests: float | None
    """The price of the inits that a million requests come with."""
    inits_share: float | None
    """Of all billed GB-seconds; None where no platform.report came."""


@dataclass(frozen=True, slots=True)
class Side:
    label: str
    requests: int
    cold: int
    cold_read: int
    """Those that imports are of: fewer where a sample was read."""

    @property
    def cold_rate(self) -> float:
        return self.cold / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    a: Side
    b: Side
    latencies: tuple[Difference, ...]
    """Cold and warm."""
    imports: tuple[Change, ...]
    phases: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    sources: tuple[str, ...]
    filters: Filter
    reading: Reading
    rows: dict[str, list[Row]]
    """By the question's name."""
    introductions: tuple[Introduction, ...]
    bill: Bill
    comparison: Comparison | None
    sample: Sample | None

    @property
    def scope(self) -> Row:
        return self.rows["scope"][0]

    @property
    def cold(self) -> int:
        return sum(row["cold"] for row in self.rows["starts"])

    @property
    def cold_read(self) -> int:
        """Cold starts that imports are of."""
        return self.sample.cold if self.sample else self.cold

    def of(self, question: str) -> str:
        """What is to be said of its rows, behind their title."""
        return " (of the sample)" if self.sample and question in self.sample.questions else ""

    def introduction(self, module: str) -> Introduction | None:
        """The largest step of that import, in any service."""
        return next((step for step in self.introductions if step.module == module), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "sources": list(self.sources),
            "filters": asdict(self.filters),
            "reading": asdict(self.reading) | {"foreign": dict(self.reading.foreign)},
            "answers": self.rows,
            "introductions": [asdict(each) for each in self.introductions],
            "bill": asdict(self.bill),
            "comparison": _comparison_as_json(self.comparison) if self.comparison else None,
            "sample": asdict(self.sample) | {"questions": list(self.sample.questions)} if self.sample else None,
        }


def ask(
    engine: Engine,
    sources: Sequence[str],
    filters: Filter,
    reading: Reading,
    price_per_gb_s: float,
    sides: Sides | None = None,
    counts: Counts | None = None,
) -> Answers:
    """With `counts` the engine holds a sample. Raises NothingFound, with what was tried, and what the engine raises."""
    engine.restrict(filters.condition)
    (scope,) = _rows(engine, "scope")
    if not scope["ours"]:
        raise NothingFound(_nothing(engine, sources, filters, reading))
    rows = {question.name: engine.rows(question.sql) for question in questions.QUESTIONS}
    sample = None
    if counts:
        held, counted = _totals(rows["latency"]), counts.rows(filters, rows)
        rows |= counted
        sample = _sample(held, _totals(rows["latency"]), [name for name in rows if name not in counted])
        reading = replace(reading, sample="; ".join(filter(None, (sample.says, reading.sample))))
    compared = _compare(engine, sides, counts) if sides else None
    return Answers(
        tuple(sources),
        filters,
        reading,
        rows,
        tuple(introductions(rows["import_versions"])),
        bill(rows["billing"][0], price_per_gb_s),
        compared,
        sample,
    )


def _totals(latency: Sequence[Row]) -> dict[str, int]:
    return {row["start"]: row["requests"] for row in latency}


def _sample(held: Mapping[str, int], of: Mapping[str, int], questions: Sequence[str]) -> Sample:
    return Sample(held.get("cold", 0), of.get("cold", 0), held.get("warm", 0), of.get("warm", 0), tuple(questions))


def bill(row: Row, price_per_gb_s: float) -> Bill:
    requests, gb_s, billed_gb_s = row["requests"], row["inits_gb_s"], row["requests_gb_s"]
    return Bill(
        price_per_gb_s,
        requests,
        row["inits"],
        row["inits_s"],
        gb_s,
        gb_s * price_per_gb_s / requests * MILLION if requests else None,
        gb_s / billed_gb_s if billed_gb_s else None,
    )


def _nothing(engine: Engine, sources: Sequence[str], filters: Filter, reading: Reading) -> str:
    """Why nothing was left: nothing there, or nothing within the filters, and what there is instead."""
    tried = ", ".join(sources)
    engine.restrict("")
    (scope,) = _rows(engine, "scope")
    if not scope["spans"]:
        within = f" ({filters})" if str(filters) else ""
        return f"no spans in {tried}{within}{_instead(reading)}"
    if not scope["ours"]:
        return f"{scope['spans']} spans in {tried}, and none is coldspan's: no faas.coldstart, no coldspan.phase"
    found = engine.rows("SELECT DISTINCT service, version FROM spans ORDER BY service, version LIMIT 10")
    held = ", ".join(f"{row['service']} {row['version']}" for row in found)
    return (
        f"none of the {scope['spans']} spans in {tried} is within: {filters}. "
        f"They are from {iso(scope['first_ns'])} to {iso(scope['last_ns'])}, of: {held}"
    )


def _instead(reading: Reading) -> str:
    parts = [f"{count} lines of {name}" for name, count in sorted(reading.foreign.items())]
    parts += [f"{reading.broken} broken lines, the first: {reading.first_broken}"] if reading.broken else []
    parts += [f"{reading.other} other lines"] if reading.other else []
    return f"; there are {', '.join(parts)}" if parts else ""


def _rows(engine: Engine, name: str) -> list[Row]:
    return engine.rows(questions.BY_NAME[name].sql)


def _compare(engine: Engine, sides: Sides, counts: Counts | None) -> Comparison:
    """Raises NothingFound where a side has no requests."""
    found = []
    for label, filters in sides:
        engine.restrict(filters.condition)
        rows = {name: _rows(engine, name) for name in ("latency", "imports", "phases")}
        held = _totals(rows["latency"])
        totals = counts.totals(filters) if counts else held
        if not held:
            raise NothingFound(f"no requests to compare in {label} ({filters})")
        draws = {
            start: [row["ms"] for row in engine.rows(questions.sample(start).sql)] for start in questions.START_WORDS
        }
        side = Side(label, sum(totals.values()), totals.get("cold", 0), held.get("cold", 0))
        found.append((side, rows, totals, draws))
    (a, a_rows, a_totals, a_draws), (b, b_rows, b_totals, b_draws) = found
    return Comparison(
        a,
        b,
        tuple(
            comparison.difference(start, a_draws[start], b_draws[start], a_totals.get(start, 0), b_totals.get(start, 0))
            for start in questions.START_WORDS
        ),
        tuple(comparison.import_changes(a_rows["imports"], a.cold_read, b_rows["imports"], b.cold_read, questions.TOP)),
        tuple(
            comparison.changes(comparison.phase_medians(a_rows["phases"]), comparison.phase_medians(b_rows["phases"]))
        ),
    )


def _comparison_as_json(of: Comparison) -> dict[str, Any]:
    return {
        "a": asdict(of.a) | {"cold_rate": of.a.cold_rate},
        "b": asdict(of.b) | {"cold_rate": of.b.cold_rate},
        "latencies": [asdict(each) | {"says": each.says} for each in of.latencies],
        "imports": [asdict(each) | {"difference_ms": each.difference_ms} for each in of.imports],
        "phases": [asdict(each) | {"difference_ms": each.difference_ms} for each in of.phases],
    }
