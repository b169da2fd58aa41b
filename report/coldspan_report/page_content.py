"""The answers as the report's page takes them (page/answers.py). Pure."""

from coldspan_report import questions, tables
from coldspan_report.answers import Answers, Row
from coldspan_report.comparison import Change, Difference
from coldspan_report.filters import iso
from coldspan_report.page import answers as page
from coldspan_report.paths import import_paths

VERDICTS = {None: "too few to tell", False: "within the noise"}


def content(answers: Answers) -> page.Answers:
    found: page.Answers = {
        "title": "Cold starts",
        "scope": _scope(answers),
        "sentences": _sentences(answers),
        "warnings": [*answers.reading.warnings(), *tables.dropped(answers)],
        "latency": [
            {
                "start": row["start"],
                "requests": row["requests"],
                "p50_ms": row["p50_ms"],
                "p95_ms": row["p95_ms"],
                "p99_ms": row["p99_ms"],
            }
            for row in answers.rows["latency"]
        ],
        "distribution": [
            {"start": row["start"], "bin": row["bin"], "requests": row["requests"]}
            for row in answers.rows["distribution"]
        ],
        "phases": _phases(answers),
        "cold_starts": answers.cold_read,
        "imports": import_paths(answers.rows["import_edges"]),
        "tables": [
            {
                "title": questions.BY_NAME[name].asks + answers.of(name),
                "columns": [column.removesuffix("_ns") for column in answers.rows[name][0]],
                "rows": [_cells(row) for row in answers.rows[name][: tables.SHOWN]],
            }
            for name in tables.ON_PAGE
            if answers.rows[name]
        ],
    }
    if answers.comparison:
        found["comparison"] = _comparison(answers)
    return found


def _cells(row: Row) -> list[str | int | float | None]:
    """Instants and shares in words."""
    words = {name: iso(value) for name, value in row.items() if name.endswith("_ns")}
    words |= {name: tables.percent(row[name]) for name in ("share", "cold_rate") if name in row}
    return [words.get(name, value) for name, value in row.items()]


def _scope(answers: Answers) -> str:
    scope = answers.scope
    parts = [", ".join(answers.sources), f"{iso(scope['first_ns'])} to {iso(scope['last_ns'])}", str(answers.filters)]
    return ", ".join(part for part in parts if part)


def _sentences(answers: Answers) -> list[str]:
    sentences = [tables.rate(answers) + "."]
    imports = [row for row in answers.rows["imports"] if row["via"]]
    if imports:
        first = imports[0]
        since = answers.introduction(first["module"])
        sentences.append(
            f"{first['module']} costs {first['mean_ms']:.0f} ms itself in each of {first['starts']} cold starts, via "
            f"{tables.place(first['via'])}{answers.of('imports')}"
            + (f", since version {since.version}." if since else ".")
        )
    return [*sentences, *(f"{line}." for line in tables.billed(answers.bill))]


def _phases(answers: Answers) -> list[page.PhaseAt]:
    rows = answers.rows["phase_timeline"]
    begins: dict[int, int] = {}
    for row in rows:
        begins[row["bucket"]] = min(row["first_ns"], begins.get(row["bucket"], row["first_ns"]))
    return [
        {
            "first_ns": begins[row["bucket"]],
            "phase": row["phase"],
            "mean_ms": row["mean_ms"],
            "cold": row["cold"],
        }
        for row in rows
    ]


def _comparison(answers: Answers) -> page.Comparison:
    assert answers.comparison is not None
    a, b = answers.comparison.a, answers.comparison.b
    changes = [_latency(each) for each in answers.comparison.latencies if None not in (each.a_p50_ms, each.b_p50_ms)]
    for change in answers.comparison.imports[: tables.SHOWN]:
        changes.append(
            {
                "name": f"import {change.name}",
                "before_ms": change.a_ms or 0.0,
                "after_ms": change.b_ms or 0.0,
                "before_count": a.cold_read,
                "after_count": b.cold_read,
                "low_ms": None,
                "high_ms": None,
                "verdict": _verdict(change),
            }
        )
    return {"before": a.label, "after": b.label, "changes": changes}


def _verdict(of: Change) -> str:
    return "new" if of.a_ms is None else "gone" if of.b_ms is None else "mean of all cold starts"


def _latency(of: Difference) -> page.Change:
    before_ms, after_ms = of.a_p50_ms or 0.0, of.b_p50_ms or 0.0
    verdict = VERDICTS.get(of.exceeds_noise) or ("slower" if after_ms > before_ms else "faster")
    return {
        "name": f"{of.of} p50",
        "before_ms": before_ms,
        "after_ms": after_ms,
        "before_count": of.a_n,
        "after_count": of.b_n,
        "low_ms": of.low_ms,
        "high_ms": of.high_ms,
        "verdict": verdict,
    }
