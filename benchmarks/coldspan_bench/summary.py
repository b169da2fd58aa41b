"""Medians, spreads and pairwise differences from the rounds of a results file. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coldspan_bench.configurations import BARE, FLOOR

Rounds = Sequence[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """`over_*` are the medians of the differences within rounds; None without such a reference."""

    median: float
    low: float
    """10 % of the rounds are below, 10 % above `high`."""
    high: float
    over_bare: float | None
    over_floor: float | None
    rounds: int


def figure(situation: dict[str, Any], configuration: str, name: str) -> Figure | None:
    """`situation` as in a results file; None where that configuration has no such figure."""
    rounds = rounds_of(situation, configuration)
    values = [each[name] for each in rounds if name in each]
    if not values:
        return None
    low, high = spread(values)
    return Figure(
        statistics.median(values),
        low,
        high,
        difference(rounds, rounds_of(situation, BARE), name) if configuration != BARE else None,
        difference(rounds, rounds_of(situation, FLOOR), name) if configuration not in (BARE, FLOOR) else None,
        len(values),
    )


def rounds_of(situation: dict[str, Any], configuration: str) -> Rounds:
    found: Rounds = situation["configurations"].get(configuration, {}).get("rounds", [])
    return found


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The 10th and the 90th percentile."""
    if len(values) == 1:
        return values[0], values[0]
    cuts = statistics.quantiles(values, n=10, method="inclusive")
    return cuts[0], cuts[-1]


def difference(rounds: Rounds, reference: Rounds, name: str) -> float | None:
    """Of rounds with the same number. A configuration that stopped early has fewer of them."""
    pairs = zip(rounds, reference, strict=False)
    differences = [each[name] - other[name] for each, other in pairs if name in each and name in other]
    return statistics.median(differences) if differences else None
