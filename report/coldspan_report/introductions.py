"""With which version an import became slow. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

LEAST_MS = 5.0
"""From there on an import is a span of its own: below it, a version that lacks it may have it in a sum."""
LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Introduction:
    module: str
    service: str
    version: str
    """The first with it."""
    previous: str
    """The one before, by when they were first seen."""
    before_ms: float
    """On average in a cold start; 0 where it had no span."""
    after_ms: float
    before_cold: int
    """Cold starts that this average is of."""
    after_cold: int


def introductions(rows: Iterable[Mapping[str, Any]]) -> list[Introduction]:
    """The largest step of each import, the largest first; rows are those of the question import_versions.

    A step counts from LEAST_MS on, if it is at least half of what the import took after it: noise between two versions
    of an import that was slow all along is none.
    """
    ordered = sorted(rows, key=lambda row: (row["module"], row["service"], row["first_ns"], row["version"]))
    steps = []
    for (module, service), versions in groupby(ordered, key=lambda row: (row["module"], row["service"])):
        found = [
            Introduction(
                module,
                service,
                after["version"],
                before["version"],
                before["mean_ms"],
                after["mean_ms"],
                before["cold"],
                after["cold"],
            )
            for before, after in pairwise(versions)
        ]
        steps += sorted(filter(_counts, found), key=_step)[-1:]
    return sorted(steps, key=lambda step: (-_step(step), step.module, step.service))


def _step(of: Introduction) -> float:
    return of.after_ms - of.before_ms


def _counts(of: Introduction) -> bool:
    return _step(of) >= max(LEAST_MS, LEAST_SHARE * of.after_ms)
