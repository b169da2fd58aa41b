"""What a report concludes, as tables of cases: times that were typed, when an import became slow, noise or not."""

from random import Random
from typing import Any

import pytest

from coldspan_report.answers import Bill, bill
from coldspan_report.comparison import Change, changes, difference, import_changes
from coldspan_report.filters import Filter, Invalid, instant_ns, iso, sides
from coldspan_report.introductions import Introduction, introductions
from coldspan_report.paths import import_paths

NOW_NS = 1_795_525_572_000_000_000
HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("now", NOW_NS),
        ("90m", NOW_NS - HOUR_NS * 3 // 2),
        ("24h", NOW_NS - 24 * HOUR_NS),
        ("2w", NOW_NS - 336 * HOUR_NS),
        ("2026-11-24T13:06:12Z", NOW_NS),
        ("2026-11-24T14:06:12+01:00", NOW_NS),
        ("2026-11-24T13:06:12", NOW_NS),
        ("2026-11-24", NOW_NS - (13 * 3600 + 6 * 60 + 12) * 10**9),
    ],
)
def test_a_time_is_iso_or_so_long_ago(text: str, expected_ns: int) -> None:
    assert instant_ns(text, NOW_NS) == expected_ns


@pytest.mark.parametrize("text", ["", "24", "1y", "yesterday", "2026-13-01"])
def test_another_time_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(Invalid, match="expected a time such as"):
        instant_ns(text, NOW_NS)


def test_sides_are_versions_or_windows_within_the_other_filters() -> None:
    within = Filter(service="orders", since_ns=5)
    assert sides("41..42", within, NOW_NS) == (
        ("41", Filter("orders", "41", 5)),
        ("42", Filter("orders", "42", 5)),
    )
    (_, before), (_, after) = sides("48h/24h..24h/now", within, NOW_NS)
    assert before == Filter("orders", None, NOW_NS - 48 * HOUR_NS, NOW_NS - 24 * HOUR_NS)
    assert after == Filter("orders", None, NOW_NS - 24 * HOUR_NS, NOW_NS)


@pytest.mark.parametrize("text", ["41", "41..", "..42", "24h/48h..24h/now"])
def test_other_sides_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        sides(text, Filter(), NOW_NS)


def test_a_filter_quotes_what_was_typed() -> None:
    assert Filter(service="it's", until_ns=7).condition == "service = 'it''s' AND start_ns < 7"
    assert iso(NOW_NS) == "2026-11-24T13:06:12Z"


def versions(*means_ms: float) -> list[dict[str, Any]]:
    """Rows of import_versions, newest first: order is by first_ns, not by row."""
    return [
        {"module": "m", "service": "s", "version": str(n), "first_ns": n, "cold": 10, "mean_ms": mean}
        for n, mean in reversed(list(enumerate(means_ms, 1)))
    ]


@pytest.mark.parametrize(
    ("means_ms", "expected"),
    [
        ((0, 0, 200), "3"),
        ((0, 200, 210), "2"),
        ((10, 12, 11), None),  # slow all along
        ((0, 3), None),  # a span comes at 5 ms, so this is chance
        ((10, 100, 90, 300), "4"),  # the largest step
        ((200, 0), None),
        ((200,), None),  # what was before is not known
    ],
)
def test_the_version_that_made_an_import_slow(means_ms: tuple[float, ...], expected: str | None) -> None:
    assert [step.version for step in introductions(versions(*means_ms))] == ([expected] if expected else [])


def test_a_step_tells_both_sides_and_the_number_of_cold_starts() -> None:
    assert introductions(versions(0, 200)) == [Introduction("m", "s", "2", "1", 0, 200, 10, 10)]


def latencies(median_ms: float, n: int, seed: int) -> list[float]:
    random = Random(seed)
    return [random.lognormvariate(0, 0.3) * median_ms for _ in range(n)]


@pytest.mark.parametrize(
    ("b_median_ms", "n", "exceeds"),
    [
        (150, 40, True),
        (105, 40, False),  # one percent of a spread of thirty
        (105, 2000, True),
        (100, 2000, False),
        (150, 7, None),  # too few
    ],
)
def test_a_difference_exceeds_the_noise_or_not(b_median_ms: float, n: int, exceeds: bool | None) -> None:
    found = difference("cold", latencies(100, n, 1), latencies(b_median_ms, n, 2), n, 5000)
    assert found.exceeds_noise is exceeds
    assert f"n = {n} and {n}, drawn from {n} and 5000" in found.says
    assert found == difference("cold", latencies(100, n, 1), latencies(b_median_ms, n, 2), n, 5000)


def test_nothing_on_a_side_is_said() -> None:
    assert difference("cold", [], [1.0], 0, 1).says == "cold: nothing to compare (n = 0 and 1)"


def test_changes_are_the_large_ones_first_and_small_ones_left_out() -> None:
    found = changes({"gone": 20, "same": 5, "more": 10}, {"same": 5.5, "more": 40, "new": 7})
    assert found == [Change("more", 10, 40), Change("gone", 20, None), Change("new", None, 7)]


def test_an_import_below_the_last_row_of_a_full_list_is_not_said_to_be_new() -> None:
    def rows(**means_ms: float) -> list[dict[str, Any]]:
        return [{"module": module, "total_ms": mean} for module, mean in means_ms.items()]

    full, other = rows(a=50, b=10), rows(a=50, c=8, d=20)
    new, gone = Change("d", None, 20), Change("b", 10, None)
    assert import_changes(full, 1, other, 1, 2) == [new, gone]
    assert import_changes(full, 1, other, 1, 3) == [new, gone, Change("c", None, 8)]


def edge(parent: str, module: str, total_ms: float) -> dict[str, Any]:
    return {"parent": parent, "module": module, "source": "layer", "starts": 1, "total_ms": total_ms}


def test_edges_of_the_import_graph_make_the_paths_of_a_tree() -> None:
    edges = [edge("", "app", 1), edge("app", "a", 5), edge("app", "b", 2), edge("a", "c", 9), edge("b", "c", 3)]
    edges += [edge("c", "d", 4), edge("y", "x", 1), edge("x", "y", 1)]
    assert [path["path"] for path in import_paths(edges)] == [
        ["app"],
        ["app", "a"],
        ["app", "b"],
        ["app", "a", "c"],
        ["app", "b", "c"],
        ["app", "a", "c", "d"],  # c took longest for a
        ["x", "y", "x"],
        ["y", "x", "y"],
    ]
    assert sum(path["self_ms"] for path in import_paths(edges)) == sum(each["total_ms"] for each in edges)


def test_init_is_billed_by_the_gigabyte_second() -> None:
    row = {"requests": 2000, "inits": 10, "inits_s": 8.0, "inits_gb_s": 4.0, "requests_s": 80.0, "requests_gb_s": 40.0}
    assert bill(row, 0.00002) == Bill(0.00002, 2000, 10, 8.0, 4.0, pytest.approx(0.04), 0.1)  # type: ignore[arg-type]
    assert bill(dict.fromkeys(row, 0), 0.00002).inits_per_million_requests is None
