"""The queue in front of the exporter: bounded, the oldest go first, and what went is counted once."""

from coldspan_extension import attributes
from coldspan_extension.queue import Queue
from coldspan_extension.span import Span


def spans(*names: str) -> list[Span]:
    return [Span(name, b"t" * 16, b"s" * 8, b"", 0, 1, {}) for name in names]


def test_what_is_beyond_the_bound_drops_the_oldest_and_is_counted_once() -> None:
    queue = Queue(limit=3)
    queue.put(spans("a", "b"))
    queue.put(spans("c", "d", "e"))
    assert [span.name for span in queue.take()] == ["c", "d", "e"]
    assert queue.dropped == 2


def test_spans_that_come_back_are_older_than_what_waits() -> None:
    queue = Queue(limit=3)
    queue.put(spans("c"))
    queue.put_back(spans("a", "b"))
    queue.put(spans("d"))
    assert [span.name for span in queue.take()] == ["b", "c", "d"]
    assert queue.dropped == 1
    assert len(queue) == 0


def test_what_a_dropped_span_would_have_told_of_others_is_counted_again() -> None:
    queue = Queue()
    (server,) = spans("server")
    server.attributes |= {attributes.DROPPED_SPANS: 9, attributes.DROPPED_RECORDS: 2}
    queue.drop([server, *spans("handler")])
    assert (queue.dropped, queue.lost_records) == (11, 2)
