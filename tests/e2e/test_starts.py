"""Every start type that the lab knows, as whole traces from the real layer and runtime client."""

import pytest

from coldspan_lab.service import InitType
from coldspan_testing.shapes import RunSource, Shape, exceptions, shapes

SOURCE = """
def handler(event, context):
    if event == "exit": raise SystemExit(3)
    return 1
"""
HOOKS = """
import time
from snapshot_restore_py import register_after_restore, register_before_snapshot
@register_before_snapshot
def before(): time.sleep(0.01)
@register_after_restore
def after(): time.sleep(0.02)
"""

SERVED: list[Shape] = [
    ("function", "", ""),
    ("next", "function", ""),
    ("handler", "function", ""),
    ("response", "function", ""),
    ("after response", "function", ""),
]
INIT: list[Shape] = [("init", "", ""), ("load handler", "init", "")]
COLD: list[Shape] = [SERVED[0], ("init", "function", ""), INIT[1], *SERVED[1:]]


@pytest.mark.parametrize("python", ["3.10", "3.13"])
def test_on_demand_the_request_that_waited_for_init_has_it_in_its_trace(run_source: RunSource, python: str) -> None:
    run = run_source(SOURCE, python=python)
    for _ in range(2):
        run.lab.invoke(1)
        run.lab.wait_frozen()
    run.close()
    assert shapes(run) == [COLD, SERVED]
    assert [server.attributes["faas.coldstart"] for server in run.servers] == [True, False]


@pytest.mark.parametrize(
    ("init_type", "event", "proactive"),
    [
        (InitType.PROACTIVE, 1, True),
        (InitType.PROVISIONED_CONCURRENCY, 1, None),
    ],
)
def test_an_init_ahead_of_its_request_is_a_trace_of_its_own_with_a_link(
    run_source: RunSource, init_type: InitType, event: object, proactive: bool | None
) -> None:
    run = run_source(SOURCE, init_type=init_type)
    for _ in range(2):
        run.lab.invoke(event)
        run.lab.wait_frozen()
    run.close()
    assert shapes(run) == [INIT, SERVED, SERVED]
    first, second = run.servers
    (init,) = [span for span in run.receiver.spans if span.span.name == "init"]
    (link,) = first.span.links
    assert (link.trace_id, link.span_id) == (init.span.trace_id, init.span.span_id)
    assert [(each.key, each.value.string_value) for each in link.attributes] == [("coldspan.link.type", "init")]
    assert first.attributes["coldspan.init.trace_id"] == init.span.trace_id.hex()
    assert list(second.span.links) == []
    for span in (first, init):
        assert span.attributes["coldspan.init.type"] == init_type.reported
        assert span.attributes.get("coldspan.init.proactive") is proactive
    (report,) = [each["record"] for each in run.lab.events if each["type"] == "platform.initReport"]
    assert init.attributes["coldspan.init.duration"] == report["metrics"]["durationMs"] / 1000
    assert [server.attributes["faas.coldstart"] for server in run.servers] == [False, False]


def test_how_long_an_environment_may_wait_for_its_request_is_a_setting(run_source: RunSource) -> None:
    run = run_source(SOURCE, init_type=InitType.PROACTIVE, COLDSPAN_PROACTIVE_AFTER="60000")
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.close()
    assert shapes(run) == [COLD]


@pytest.mark.parametrize("faults", [(), ("telemetry-lost",)])
def test_an_environment_that_is_initialised_again_delays_the_request_whatever_its_type(
    run_source: RunSource, faults: tuple[str, ...]
) -> None:
    run = run_source(SOURCE, init_type=InitType.PROVISIONED_CONCURRENCY, faults=faults)
    for event in ("exit", 1):
        run.lab.invoke(event)
        run.lab.wait_frozen()
    run.close()
    failed = "Runtime.ExitError"
    crashed = [("function", "", f"{failed}!"), ("next", "function", ""), ("handler", "function", failed)]
    assert shapes(run) == [INIT, crashed, COLD]
    assert run.servers[1].attributes["coldspan.init.phase"] == "invoke"


RESTORED: list[Shape] = [SERVED[0], ("restore", "function", ""), ("restore hooks", "restore", ""), *SERVED[1:]]


@pytest.mark.parametrize("python", ["3.12", "3.13"])
def test_a_restore_is_the_cold_start_of_its_request(run_source: RunSource, python: str) -> None:
    run = run_source(HOOKS + SOURCE, python=python, init_type=InitType.SNAP_START)
    for _ in range(2):
        run.lab.invoke(1)
        run.lab.wait_frozen()
    run.close()
    assert shapes(run) == [RESTORED, SERVED]
    cold, warm = run.servers
    assert [server.attributes["faas.coldstart"] for server in (cold, warm)] == [True, False]
    assert cold.attributes["coldspan.init.type"] == "snap-start"
    hooks = [span.span for span in run.receiver.spans if span.span.name == "restore hooks"]
    assert 20e6 <= hooks[0].end_time_unix_nano - hooks[0].start_time_unix_nano < 2_000e6
    assert "aws.log.stream.names" not in cold.resource


@pytest.mark.parametrize("faults", [(), ("telemetry-lost",)])
def test_a_crash_after_a_restore_is_followed_by_an_init_inside_the_next_invocation(
    run_source: RunSource, faults: tuple[str, ...]
) -> None:
    run = run_source(HOOKS + SOURCE, init_type=InitType.SNAP_START, faults=faults)
    for event in ("exit", 1):
        run.lab.invoke(event)
        run.lab.wait_frozen()
    run.close()
    crashed, again = shapes(run)
    assert crashed[:3] == [("function", "", "Runtime.ExitError!"), *RESTORED[1:3]]
    assert again == COLD


def test_a_hook_that_fails_after_the_restore_is_the_restores_error(run_source: RunSource) -> None:
    source = HOOKS.replace("def after(): time.sleep(0.02)", "def after(): time.sleep(0.02); {}['entropy']")
    run = run_source(source + SOURCE, init_type=InitType.SNAP_START)
    run.lab.invoke(1)
    run.close()
    assert [trace[0] for trace in shapes(run)] == [("restore", "", "KeyError")]
    assert exceptions(run)[0] == ("restore", "KeyError")


def test_a_hook_that_fails_before_the_snapshot_is_inits_error(run_source: RunSource) -> None:
    source = HOOKS.replace("def before(): time.sleep(0.01)", "def before(): {}['warm']")
    run = run_source(source + SOURCE, init_type=InitType.SNAP_START)
    run.lab.invoke(1)
    run.close()
    assert shapes(run)[0] == [("init", "", "KeyError"), ("load handler", "init", "")]
    assert exceptions(run)[0] == ("init", "KeyError")
