"""Spans that wait for export: bounded, the oldest go first, and what went is counted."""

from coldspan_extension.span import Span

MAX_SPANS = 24_000
"""An init with all of its imports, at most 20,000, and some invocations: about 30 MB."""

BATCH = 2_048
"""Spans of one request, some 600 kB: a collector takes 4 MB over gRPC if nobody told it to take more."""


class Queue:
    def __init__(self, limit: int = MAX_SPANS) -> None:
        self.dropped = 0  # since the last report on a span
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

    def take(self, count: int = BATCH) -> list[Span]:
        """The oldest."""
        spans, self._spans = self._spans[:count], self._spans[count:]
        return spans

    def _trim(self) -> None:
        excess = len(self._spans) - self._limit
        if excess > 0:
            del self._spans[:excess]
            self.dropped += excess
