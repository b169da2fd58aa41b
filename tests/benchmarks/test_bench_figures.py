"""From rounds to tables, and from memory maps to megabytes."""

import json

import pytest

from coldspan_bench import memory, render, runner, situations, summary, targets
from coldspan_bench.configurations import BARE, FLOOR, everything
from coldspan_bench.environment import Seen
from coldspan_bench.errors import Unavailable

KIB = 1024
LIBRARY = """\
7f00-7f01 r-xp 00000000 fd:00 11   /lib/libpython.so
Rss:                 100 kB
Pss:                  40 kB
Anonymous:             0 kB
"""
DATA = """\
7f01-7f02 rw-p 00100000 fd:00 11   /lib/libpython.so
Rss:                  20 kB
Anonymous:            16 kB
VmFlags: rd wr mr mw me ac sd
7f03-7f04 rw-p 00000000 00:00 0    [heap]
Rss:                  50 kB
Anonymous:            50 kB
"""
HALF_THE_LIBRARY = LIBRARY.replace(" 100 kB", "  50 kB")


@pytest.mark.parametrize(
    ("other", "kib"),
    [
        pytest.param("", 170, id="nobody-shares"),
        pytest.param(LIBRARY, 120, id="the-library-is-shared"),
        pytest.param(HALF_THE_LIBRARY, 145, id="half-of-it-is-shared"),
        pytest.param(LIBRARY + DATA, 118, id="what-was-written-to-is-not-shared"),
    ],
)
def test_memory_is_shared_only_with_the_environments_other_process(other: str, kib: int) -> None:
    assert memory.resident(LIBRARY + DATA) == 170 * KIB
    assert memory.proportional(LIBRARY + DATA, other) == kib * KIB


def situation(**rounds: list[float]) -> dict[str, object]:
    measured = {
        name.replace("_", " "): {"rounds": [{"cold": value} for value in values]} for name, values in rounds.items()
    }
    return {
        "title": "a title",
        "figures": ["cold"],
        "configurations": {**measured, "a peer": {"skipped": "pip found nothing"}},
    }


def test_differences_are_taken_within_rounds() -> None:
    """Two medians say +8, of a machine that got slower; its neighbours in time say +1."""
    measured = situation(bare=[10, 20, 30], coldspan=[11, 28, 31])
    found = summary.figure(measured, "coldspan", "cold")
    assert found is not None
    assert (found.median, found.over_bare, found.over_floor, found.rounds) == (28, 1, None, 3)
    assert summary.figure(measured, "a peer", "cold") is None


def test_the_spread_leaves_a_tenth_out_at_either_end() -> None:
    assert summary.spread([float(value) for value in range(11)]) == (1.0, 9.0)
    assert summary.spread([5.0]) == (5.0, 5.0)


def test_every_configuration_comes_to_every_place() -> None:
    configurations = everything()
    orders = [runner.turned(configurations, number) for number in range(2 * len(configurations))]
    assert all(sorted(order, key=configurations.index) == configurations for order in orders)
    names = {each.name for each in configurations}
    assert {order[0].name for order in orders} == {order[-1].name for order in orders} == names


def test_a_setting_that_the_layer_refuses_is_not_measured_under_its_name() -> None:
    said = {"event": "config_invalid", "variable": "COLDSPAN_EXPORTER", "value": "x", "accepted": "auto"}
    log = f"a line of the function's\n{json.dumps(said)}\n"
    with pytest.raises(Unavailable, match="COLDSPAN_EXPORTER=x: this layer takes auto"):
        runner.check_ours(Seen({}, [], {}, 1, log), 1)


def test_every_target_names_what_is_measured() -> None:
    known = {each.name: each for each in situations.everything()}
    configurations = {each.name: each for each in everything()}
    for target in targets.TARGETS:
        assert target.figure in known[target.situation].figures
        assert known[target.situation].takes(configurations[target.configuration])


def results() -> dict[str, object]:
    return {
        "date": "2026-11-24T12:00:00+00:00",
        "command": "python -Im coldspan_bench",
        "machine": {"cpu": "a CPU", "cpus": 2, "memory_mib": 1, "kernel": "6.1", "load": 0.1},
        "versions": {"Python": "3.13.0"},
        "rounds": 3,
        "peers": {},
        "skipped": {},
        "layer": {"wrapper": {"unzipped": 1_000_000, "zipped": 500_000}},
        "situations": {"trivial": situation(bare=[10, 20, 30], static_C_extension=[12, 22, 33], coldspan=[19, 29, 39])},
    }


def test_a_document_is_renewed_between_its_marks_only() -> None:
    document = (
        "Before.\n<!-- bench: trivial -->\nstale\n<!-- /bench -->\nBetween.\n"
        "<!-- bench: not-measured -->\nkept\n<!-- /bench -->\nAfter.\n"
    )
    renewed = render.renewed(document, results())
    assert "stale" not in renewed
    assert "|  | cold, ms |\n|---|---|\n| bare | 20.0 (12.0 to 28.0) |" in renewed
    assert "| coldspan | 29.0 (21.0 to 37.0) **+9.00** |" in renewed
    assert "Not measured: a peer: pip found nothing" in renewed
    assert "<!-- bench: not-measured -->\nkept\n<!-- /bench -->\nAfter.\n" in renewed
    assert render.renewed(renewed, results()) == renewed


def test_a_brief_table_leaves_out_variants_and_parts() -> None:
    found = results()
    found["situations"] = {"trivial": {**situation(bare=[1], coldspan=[2])}}
    measured = found["situations"]["trivial"]["configurations"]  # type: ignore[index]
    for name in ("coldspan lean end", "part: wrapper alone"):
        measured[name] = measured["coldspan"]
    document = "<!-- bench: trivial:cold{} -->\n<!-- /bench -->\n"
    assert "| part: wrapper alone |" in render.renewed(document.format(""), found)
    brief = render.renewed(document.format(":briefly"), found)
    assert [line.split("|")[1].strip() for line in brief.splitlines() if line.startswith("| ")] == [
        "",
        "bare",
        "coldspan",
    ]


def test_targets_say_what_is_met_and_what_was_not_measured() -> None:
    verdicts = {each.title: each for each in targets.verdicts(json.loads(json.dumps(results())))}
    assert verdicts["cold start, trivial function, 2 vCPU"].met is True
    assert verdicts["the same, over a static C extension"].met is False
    assert verdicts["warm response, 2 vCPU"].met is None
    assert verdicts["layer, zipped"].measured == "0.50 MB"


def test_references_are_measured_first() -> None:
    assert [each.name for each in everything() if each.is_reference] == [BARE, FLOOR]
