"""When traces go out: a table of cases, which docs/architecture.md tells in words."""

import pytest

from coldspan_extension.flush import MANY, History, Situation, plan

MS, SECOND, HOUR = 1_000_000, 1_000_000_000, 3_600_000_000_000
BURST = (100 * MS,) * 4
APART = (HOUR,) * 4
NOTHING, HOLD, BESIDE = (False, False), (False, True), (True, False)
LONG, SHORT = 500 * MS, 3 * MS
SMALL = 128


@pytest.mark.parametrize(
    ("situation", "planned"),
    [
        # end: always at once, but not while the collector fails
        (Situation("end"), HOLD),
        (Situation("end", BURST), HOLD),
        (Situation("end", BURST, can_export=False), NOTHING),
        # deferred: never held; what is old, or much, goes out beside a later handler
        (Situation("deferred"), NOTHING),
        (Situation("deferred", BURST, waiting=1, age_ns=100 * MS), NOTHING),
        (Situation("deferred", APART, waiting=1, age_ns=HOUR), BESIDE),
        (Situation("deferred", BURST, waiting=9, age_ns=5 * SECOND), BESIDE),
        (Situation("deferred", BURST, waiting=MANY, age_ns=SECOND), BESIDE),
        (Situation("deferred", BURST, waiting=9, age_ns=9 * SECOND, memory_mb=SMALL), NOTHING),
        (Situation("deferred", BURST, waiting=9, age_ns=30 * SECOND, memory_mb=SMALL), BESIDE),
        (Situation("deferred", BURST, waiting=50, age_ns=SECOND), NOTHING),
        (Situation("deferred", BURST, waiting=50, age_ns=SECOND, memory_mb=SMALL), BESIDE),
        (Situation("deferred", APART, waiting=1, age_ns=HOUR, can_export=False), NOTHING),
        # what takes 4 s to load is loaded while there is time: SHUTDOWN has two
        (Situation("deferred", must_load=True, memory_mb=SMALL), HOLD),
        (Situation("deferred", must_load=True, memory_mb=1_024), NOTHING),
        (Situation(gaps_ns=BURST, must_load=True, memory_mb=SMALL), HOLD),
        # adaptive: the first ones, and those an hour apart, at once
        (Situation(), HOLD),
        (Situation(gaps_ns=BURST[:2], waiting=0), HOLD),
        (Situation(gaps_ns=APART), HOLD),
        (Situation(gaps_ns=APART, memory_mb=SMALL), HOLD),
        # a burst: not until what waits is due
        (Situation(gaps_ns=BURST), NOTHING),
        (Situation(gaps_ns=BURST, waiting=9, age_ns=SECOND, handler_ns=LONG, export_ns=5 * MS), NOTHING),
        (Situation(gaps_ns=BURST, waiting=9, age_ns=5 * SECOND), HOLD),
        (Situation(gaps_ns=BURST, waiting=9, age_ns=5 * SECOND, handler_ns=SHORT, export_ns=5 * MS), HOLD),
        (Situation(gaps_ns=BURST, waiting=9, age_ns=5 * SECOND, handler_ns=LONG, export_ns=5 * MS), BESIDE),
        (Situation(gaps_ns=BURST, waiting=MANY, age_ns=SECOND, handler_ns=LONG, export_ns=5 * MS), BESIDE),
        # what the user says of it goes first
        (Situation(gaps_ns=BURST, waiting=9, age_ns=5 * SECOND, delay_ns=9 * SECOND), NOTHING),
        (Situation(gaps_ns=BURST, waiting=1, age_ns=MS, delay_ns=MS, memory_mb=SMALL), HOLD),
        (Situation("deferred", BURST, waiting=1, age_ns=MS, delay_ns=MS), BESIDE),
        # the burst ended: this one came late, so may the next
        (Situation(gaps_ns=(*BURST, HOUR), waiting=9, age_ns=HOUR), HOLD),
        # a small function pays more for an export: its burst may be slower, and its traces older
        (Situation(gaps_ns=(10 * SECOND,) * 4), HOLD),
        (Situation(gaps_ns=(10 * SECOND,) * 4, memory_mb=SMALL), NOTHING),
        (Situation(gaps_ns=(10 * SECOND,) * 4, waiting=4, age_ns=30 * SECOND, memory_mb=SMALL), HOLD),
        # a collector that is slow is not waited for with the environment held; one that fails not at all
        (Situation(gaps_ns=APART, export_ns=2 * SECOND), NOTHING),
        (Situation(gaps_ns=APART, waiting=1, age_ns=HOUR, export_ns=2 * SECOND), BESIDE),
        (Situation(gaps_ns=APART, can_export=False), NOTHING),
    ],
)
def test_the_plan_of_each_situation(situation: Situation, planned: tuple[bool, bool]) -> None:
    made = plan(situation)
    assert (made.beside, made.hold) == planned
    assert made.reason


def test_what_was_seen_is_the_gaps_and_the_shortest_of_the_latest_handlers() -> None:
    history = History()
    assert (history.gaps_ns, history.handler_ns) == ((), 0)
    for at_ns in (10, 12, 15, 19, 24, 30, 37):
        history.begins(at_ns)
    for took_ns in (1, 9, 8, 7, 6, 5):
        history.ended(took_ns)
    assert (history.gaps_ns, history.handler_ns) == ((3, 4, 5, 6, 7), 5)
