"""Pauses between exports that fail."""

from coldspan_extension.export.breaker import FIRST_PAUSE_NS, MAX_PAUSE_NS, Breaker

SECOND = 1_000_000_000


def test_each_failure_doubles_the_pause_up_to_a_bound() -> None:
    breaker, now_ns, pause_ns = Breaker(), 0, FIRST_PAUSE_NS
    assert breaker.allows(0)
    for _ in range(10):
        breaker.failed(now_ns)
        assert not breaker.allows(now_ns + pause_ns - 1)
        assert breaker.allows(now_ns + pause_ns)
        now_ns += pause_ns
        pause_ns = min(pause_ns * 2, MAX_PAUSE_NS)


def test_one_success_forgets_all_failures() -> None:
    breaker = Breaker()
    breaker.failed(0)
    breaker.failed(0)
    breaker.exported()
    assert breaker.allows(0)
    breaker.failed(0)
    assert breaker.allows(FIRST_PAUSE_NS)


def test_a_longer_pause_that_the_collector_asks_for_is_kept_within_the_bound() -> None:
    breaker = Breaker()
    breaker.failed(0, retry_after_s=60.0)
    assert not breaker.allows(59 * SECOND)
    assert breaker.allows(60 * SECOND)
    breaker.failed(0, retry_after_s=1e9)
    assert breaker.allows(MAX_PAUSE_NS)
