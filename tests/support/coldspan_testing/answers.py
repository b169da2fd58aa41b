"""Answers of a made-up fleet, as `coldspan report` would give them."""

from coldspan_report.page.answers import Answers, Bin, Change, PhaseAt

HOUR_NS = 3_600 * 10**9
T0_NS = 1_795_508_392 * 10**9
PHASE_MS = {"init": 310.0, "next": 1.2, "handler": 48.0, "response": 3.5}


def _bins(start: str, first: int, counts: list[int]) -> list[Bin]:
    return [{"start": start, "bin": first + number, "requests": count} for number, count in enumerate(counts)]


def _phases() -> list[PhaseAt]:
    return [
        {"first_ns": T0_NS + hour * HOUR_NS, "phase": phase, "mean_ms": ms * (1.6 if hour > 7 else 1), "cold": 9 + hour}
        for hour in range(12)
        for phase, ms in PHASE_MS.items()
    ]


CHANGES: list[Change] = [
    {
        "name": "cold p50",
        "before_ms": 298.1,
        "after_ms": 488.0,
        "before_count": 82,
        "after_count": 120,
        "low_ms": 171.0,
        "high_ms": 208.4,
        "verdict": "slower",
    },
    {
        "name": "warm p50",
        "before_ms": 3.1,
        "after_ms": 3.2,
        "before_count": 4100,
        "after_count": 5338,
        "low_ms": -0.2,
        "high_ms": 0.3,
        "verdict": "within the noise",
    },
    {
        "name": "import pandas",
        "before_ms": 0.0,
        "after_ms": 191.6,
        "before_count": 82,
        "after_count": 120,
        "low_ms": None,
        "high_ms": None,
        "verdict": "new",
    },
]

ANSWERS: Answers = {
    "title": "orders: cold starts",
    "scope": "traces.jsonl, 2026-11-24 08:00 to 20:00 UTC, service orders",
    "sentences": [
        "2.1 % of 9,640 requests were cold; they took 412 ms (p50).",
        "pandas costs them 190 ms, via app.py:3.",
    ],
    "warnings": ["3 of 10,000 lines are no OTLP/JSON: the first is traces.jsonl:17."],
    "latency": [
        {"start": "cold", "requests": 202, "p50_ms": 412.3, "p95_ms": 641.0, "p99_ms": 1203.5},
        {"start": "warm", "requests": 9438, "p50_ms": 3.1, "p95_ms": 9.8, "p99_ms": 31.0},
    ],
    "distribution": [
        *_bins("cold", 24, [12, 55, 81, 40, 10, 3, 1]),
        *_bins("warm", 2, [40, 900, 3100, 2700, 1500, 700, 300, 120, 50, 20, 6, 2]),
    ],
    "phases": _phases(),
    "cold_starts": 202,
    "imports": [
        {"path": ["app"], "source": "function", "self_ms": 4_040.0, "starts": 202},
        {"path": ["app", "pandas"], "source": "layer", "self_ms": 9_000.0, "starts": 120},
        {"path": ["app", "pandas", "pandas.core"], "source": "layer", "self_ms": 14_000.0, "starts": 120},
        {"path": ["app", "boto3"], "source": "runtime", "self_ms": 1_500.0, "starts": 202},
        {"path": ["app", "boto3", "botocore"], "source": "runtime", "self_ms": 12_000.0, "starts": 202},
        {"path": ["app", "json"], "source": "stdlib", "self_ms": 700.0, "starts": 202},
    ],
    "comparison": {
        "before": "version 41",
        "after": "version 42",
        "changes": CHANGES,
    },
    "tables": [
        {"title": "Failures", "columns": ["error", "requests"], "rows": [["Runtime.ExitError", 3], ["timeout", 1200]]},
        {"title": "Dropped data", "columns": ["what", "count"], "rows": []},
    ],
}
