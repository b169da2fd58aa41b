"""Spans that wait for export: bounded, the oldest go first, and what went is counted."""

from coldspan_extension import attributes
from coldspan_extension.span import Span

MAX_SPANS = 24_000
"""An init with all of its imports, at most 20,000, and some invocations: about 30 MB."""

BATCH = 2_048
"""Spans of one request, some 600 kB: a collector takes 4 MB over gRPC if nobody told it to take more."""


class Queue:
    def __init__(self, limit: int = MAX_SPANS) -> None:
        self.dropped = 0  # since the last report on a span
        self.lost_records = 0  # of the wrapper's, likewise
        self._limit = limit
        self._spans: list[Span] = []

    def __len__(self) -> int:
        return len(self._spans)

    def put(self, spans: list[Span]) -> None:
        self._spans += spans
        self._trim()

    def put_back(self, spans: list[Span]) -> None:
        """Spans whose export failed and may be tried again: they are older than what waits."""
        self._spans[:0] = spans
        self._trim()

    def drop(self, spans: list[Span]) -> None:
        """Counts them as lost. What they were to tell of others that were lost is to be told again."""
        self.dropped += len(spans) + _told(spans, attributes.DROPPED_SPANS)
        self.lost_records += _told(spans, attributes.DROPPED_RECORDS)

    def take(self, count: int = BATCH) -> list[Span]:
        """The oldest."""
        spans, self._spans = self._spans[:count], self._spans[count:]
        return spans

    def _trim(self) -> None:
        excess = len(self._spans) - self._limit
        if excess > 0:
            self.drop(self.take(excess))


def _told(spans: list[Span], name: str) -> int:
    counts = (span.attributes.get(name, 0) for span in spans)
    return sum(count for count in counts if isinstance(count, int))
