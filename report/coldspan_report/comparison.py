"""Two sides of a comparison: what changed, and whether that is more than noise. Pure: the same draw each time.

Latencies are skewed and have outliers, so medians are compared: the interval of the difference comes from a bootstrap,
and Mann-Whitney's rank test has to agree before a difference is said to exceed the noise. Both take requests as
independent of each other, which those of one busy minute are not; what differs beside the version differs too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

LEAST = 8
"""Of each side: fewer say nothing at ALPHA."""
ALPHA = 0.01
LEAST_P = 0.0001
RESAMPLES = 2_000
SEED = 7
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two medians, the second side less the first; in ms."""

    of: str
    a_n: int
    b_n: int
    a_total: int
    b_total: int
    """How many there are; n of them were drawn."""
    a_p50_ms: float | None
    b_p50_ms: float | None
    low_ms: float | None = None
    high_ms: float | None = None
    """The interval that has the difference with 99 % confidence."""
    p_value: float | None = None
    exceeds_noise: bool | None = None
    """None where there are too few to tell."""

    @property
    def says(self) -> str:
        counts = f"n = {self.a_n} and {self.b_n}" + (
            f", drawn from {self.a_total} and {self.b_total}"
            if (self.a_n, self.b_n) != (self.a_total, self.b_total)
            else ""
        )
        if self.a_p50_ms is None or self.b_p50_ms is None:
            return f"{self.of}: nothing to compare ({counts})"
        change = self.b_p50_ms - self.a_p50_ms
        if self.low_ms is None or self.high_ms is None or self.p_value is None:
            return f"{self.of}: {change:+.1f} ms at the median, too few to tell it from noise ({counts})"
        p_value = f"p = {self.p_value:.2g}" if self.p_value >= LEAST_P else f"p < {LEAST_P:g}"
        interval = f"99 % interval {self.low_ms:+.1f} to {self.high_ms:+.1f} ms, {p_value}, {counts}"
        verdict = "exceeds the noise" if self.exceeds_noise else "cannot be told from noise"
        return f"{self.of}: {change:+.1f} ms at the median, {verdict} ({interval})"


@dataclass(frozen=True, slots=True)
class Change:
    """Of an import or a phase, on average or at the median of a cold start, ms; None where it has no span."""

    name: str
    a_ms: float | None
    b_ms: float | None

    @property
    def difference_ms(self) -> float:
        return (self.b_ms or 0.0) - (self.a_ms or 0.0)


def difference(of: str, a: Sequence[float], b: Sequence[float], a_total: int, b_total: int) -> Difference:
    import numpy as np  # scipy's import takes half a second, and a report without --compare needs none of it
    from scipy import stats

    first, second = np.asarray(a, float), np.asarray(b, float)
    a_p50_ms, b_p50_ms = (float(np.median(side)) if len(side) else None for side in (first, second))
    known = Difference(of, len(a), len(b), a_total, b_total, a_p50_ms, b_p50_ms)
    if min(len(a), len(b)) < LEAST:
        return known
    p_value = float(stats.mannwhitneyu(first, second, alternative="two-sided").pvalue)
    random = np.random.default_rng(SEED)
    draws = [
        np.median(random.choice(second, len(second))) - np.median(random.choice(first, len(first)))
        for _ in range(RESAMPLES)
    ]
    low, high = (float(bound) for bound in np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2]))
    exceeds = p_value < ALPHA and not low <= 0 <= high
    return replace(known, low_ms=low, high_ms=high, p_value=p_value, exceeds_noise=exceeds)


def changes(a: Mapping[str, float], b: Mapping[str, float], least_ms: float = 1.0) -> list[Change]:
    """By name, those that differ by `least_ms` or more, the largest first."""
    found = [Change(name, a.get(name), b.get(name)) for name in sorted({*a, *b})]
    return sorted(
        (change for change in found if abs(change.difference_ms) >= least_ms),
        key=lambda change: -abs(change.difference_ms),
    )


def import_changes(a: Sequence[Row], a_cold: int, b: Sequence[Row], b_cold: int, limit: int) -> list[Change]:
    """Of rows of the question imports, `limit` at most: what would be below the last row is not known to be gone."""
    before, after = _means(a, a_cold), _means(b, b_cold)
    a_least, b_least = (min(side.values()) if len(side) >= limit else 0.0 for side in (before, after))
    return [
        change
        for change in changes(before, after)
        if (change.a_ms is not None or (change.b_ms or 0.0) > a_least)
        and (change.b_ms is not None or (change.a_ms or 0.0) > b_least)
    ]


def _means(rows: Iterable[Row], cold: int) -> dict[str, float]:
    """What each import took itself, spread over all cold starts."""
    return {str(row["module"]): float(row["total_ms"]) / cold for row in rows} if cold else {}


def phase_medians(rows: Iterable[Row]) -> dict[str, float]:
    return {str(row["phase"]): float(row["p50_ms"]) for row in rows if row["start"] == "cold"}
