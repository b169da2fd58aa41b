"""Spans as literals: times in ms from an instant of their own."""

from collections.abc import Callable

import pytest

from coldspan_report.traces import ERROR, SERVER, Event, Span
from coldspan_testing.chromium import browser

__all__ = ["browser", "server", "span"]

MS = 1_000_000
T0 = 1_795_508_392_000 * MS
INTERNAL = 1

MakeSpan = Callable[..., Span]


@pytest.fixture
def span() -> MakeSpan:
    def make(
        name: str,
        start_ms: float,
        end_ms: float,
        *,
        parent: str = "",
        kind: int = INTERNAL,
        error: bool = False,
        trace: int = 1,
        events: tuple[Event, ...] = (),
        **attributes: object,
    ) -> Span:
        """Its id is its name, and `parent` the parent's. Attributes have "__" for the dots in their names."""
        return Span(
            f"{trace:032x}",
            name,
            parent,
            name,
            kind,
            T0 + round(start_ms * MS),
            T0 + round(end_ms * MS),
            ERROR if error else 0,
            {key.replace("__", "."): value for key, value in attributes.items()},
            events,
        )

    return make


@pytest.fixture
def server(span: MakeSpan) -> MakeSpan:
    def make(name: str, start_ms: float, end_ms: float, **others: object) -> Span:
        return span(name, start_ms, end_ms, kind=SERVER, **others)

    return make
