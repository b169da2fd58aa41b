"""Environments that are initialised before there is a request, with the real awslambdaric."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from coldspan_lab.service import Function, InitType, LocalLambda

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.conftest import ScriptedLab, StartLab

SOURCE = """
import os, sys, time
def handler(event, context):
    if event == "exit": sys.exit(3)
    return {"pid": os.getpid(), **{name: os.environ.get(name) for name in event}}
"""
HOOKS = """
from snapshot_restore_py import register_after_restore, register_before_snapshot
@register_before_snapshot
def one(): say("before 1")
@register_before_snapshot
def two(): say("before 2")
@register_after_restore
def three(): say("after")
def say(what): print(what, flush=True)
"""
SERVE = 'serve(register(["INVOKE", "SHUTDOWN"]))\n'
INIT = ["initStart", "initRuntimeDone", "extension", "initReport"]
RESTORE = ["restoreStart", "restoreRuntimeDone", "restoreReport"]
INVOCATION = ["start", "runtimeDone", "report"]
TYPE = "AWS_LAMBDA_INITIALIZATION_TYPE"
GROUP = "AWS_LAMBDA_LOG_GROUP_NAME"
STREAM = "AWS_LAMBDA_LOG_STREAM_NAME"


def invoked(lab: "ScriptedLab", event: Any = ()) -> Any:
    answer = lab.invoke(event)
    lab.wait_frozen()
    return json.loads(answer.payload)


def at_ns(lab: "ScriptedLab", moment: str) -> int:
    return next(mark.time_unix_ns for mark in lab.timeline if mark.what.value == moment)


def printed(lab: "ScriptedLab") -> list[str]:
    return [line.text for line in lab.log if line.source == "function"]


@pytest.mark.parametrize(
    ("init_type", "reported", "bills_init"),
    [
        (InitType.PROACTIVE, "on-demand", True),
        (InitType.PROVISIONED_CONCURRENCY, "provisioned-concurrency", False),
    ],
)
def test_an_environment_ahead_of_requests_is_initialised_and_frozen_until_the_first(
    start_lab: "StartLab", init_type: InitType, reported: str, bills_init: bool
) -> None:
    lab = start_lab(SOURCE, extensions={"probe": SERVE}, init_type=init_type, init_gap_s=0.3)
    assert lab.types() == INIT
    assert lab.moments()[-1] == "frozen"
    value = invoked(lab, [TYPE, GROUP])
    assert (value[TYPE], value[GROUP]) == (reported, "/aws/lambda/function")
    assert lab.types() == [*INIT, *INVOCATION]
    for kind in ("initStart", "initRuntimeDone", "initReport"):
        (record,) = lab.records(kind)
        assert (record["initializationType"], record["phase"]) == (reported, "init")
    assert at_ns(lab, "thawed") - at_ns(lab, "frozen") >= 0.3e9
    metrics = lab.records("report")[0]["metrics"]
    init_ms = lab.records("initReport")[0]["metrics"]["durationMs"]
    assert metrics["initDurationMs"] >= init_ms
    assert (metrics["billedDurationMs"] > init_ms) is bills_init
    assert invoked(lab)["pid"] == value["pid"]


def test_on_demand_nothing_is_started_before_the_request(start_lab: "StartLab") -> None:
    assert start_lab(SOURCE).moments() == []


@pytest.mark.parametrize(
    ("init_type", "timeout_s", "limit_s"),
    [
        (InitType.ON_DEMAND, 900, 10),
        (InitType.PROACTIVE, 900, 10),
        (InitType.PROVISIONED_CONCURRENCY, 3, 130),
        (InitType.SNAP_START, 900, 900),
    ],
)
def test_only_an_on_demand_init_must_be_over_in_ten_seconds(
    tmp_path: "Path", init_type: InitType, timeout_s: float, limit_s: float
) -> None:
    assert Function(tmp_path, init_type=init_type, timeout_s=timeout_s).init_limit == limit_s


def test_a_request_beyond_what_is_provisioned_starts_on_demand(tmp_path: "Path") -> None:
    (tmp_path / "app.py").write_text(SOURCE)
    function = Function(tmp_path, init_type=InitType.PROVISIONED_CONCURRENCY, init_gap_s=0)
    event = json.dumps([TYPE]).encode()

    async def scenario() -> list[str]:
        async with LocalLambda(function) as service:
            answers = await asyncio.gather(service.invoke(event), service.invoke(event))
        return [json.loads(answer.payload)[TYPE] for answer in answers]

    assert asyncio.run(scenario()) == ["provisioned-concurrency", "on-demand"]


def test_an_init_ahead_that_fails_is_repeated_in_the_first_invocation(start_lab: "StartLab") -> None:
    lab = start_lab("import missing_module", init_type=InitType.PROVISIONED_CONCURRENCY, init_gap_s=0)
    assert lab.types() == ["initStart", "initRuntimeDone", "initReport"]
    assert invoked(lab)["errorType"] == "Runtime.ImportModuleError"
    assert [record["phase"] for record in lab.records("initStart")] == ["init", "invoke"]


def test_snap_start_parks_the_runtime_and_restores_it_for_the_first_invocation_only(start_lab: "StartLab") -> None:
    lab = start_lab(
        HOOKS + SOURCE, extensions={"probe": SERVE}, init_type=InitType.SNAP_START, init_gap_s=0.2, timeout_s=5
    )
    assert lab.types() == INIT
    assert printed(lab) == ["before 2", "before 1"]
    value = invoked(lab, [TYPE, GROUP, STREAM])
    assert (value[TYPE], value[GROUP], value[STREAM]) == ("snap-start", None, None)
    assert lab.types() == [*INIT, *RESTORE, *INVOCATION]
    assert printed(lab) == ["before 2", "before 1", "after"]
    assert lab.records("initStart")[0]["initializationType"] == "snap-start"
    started = {**lab.records("initStart")[0]}
    for only_in_init in ("initializationType", "phase", "functionArn"):
        del started[only_in_init]
    assert lab.records("restoreStart") == [started]
    assert lab.records("restoreRuntimeDone") == [{"status": "success"}]
    (report,) = lab.records("restoreReport")
    metrics = lab.records("report")[0]["metrics"]
    assert metrics["restoreDurationMs"] == report["metrics"]["durationMs"] > 0
    assert "initDurationMs" not in metrics
    assert invoked(lab)["pid"] == value["pid"]
    assert lab.types() == [*INIT, *RESTORE, *INVOCATION, *INVOCATION]
    assert "restoreDurationMs" not in lab.records("report")[1]["metrics"]
    of_the_restore = ["frozen", "thawed", "restore begun", "restored"]
    assert sorted(of_the_restore, key=lab.moments().index) == of_the_restore
    assert [each["event"] for each in lab.said("extension")] == ["INVOKE", "INVOKE"]


def test_the_function_timeout_begins_after_the_restore(start_lab: "StartLab") -> None:
    source = HOOKS + "import time\nregister_after_restore(lambda: time.sleep(0.6))\n" + SOURCE
    lab = start_lab(source, init_type=InitType.SNAP_START, init_gap_s=0, timeout_s=0.5)
    assert "pid" in invoked(lab)
    assert lab.records("restoreReport")[0]["metrics"]["durationMs"] >= 600


def test_a_restore_over_its_limit_is_the_callers_exception_and_a_reset(start_lab: "StartLab") -> None:
    source = HOOKS + "import time\nregister_after_restore(lambda: time.sleep(60))\n" + SOURCE
    lab = start_lab(
        source, extensions={"probe": SERVE}, init_type=InitType.SNAP_START, init_gap_s=0, restore_limit_s=0.3
    )
    given = lab.invoke()
    assert (given.status, given.exception) == (408, "SnapStartTimeoutException")
    lab.wait_frozen()
    assert lab.types() == [*INIT, *RESTORE]
    assert [lab.records(kind)[0]["status"] for kind in RESTORE[1:]] == ["timeout", "timeout"]
    assert [each["reason"] for each in lab.said("extension")] == ["timeout"]


@pytest.mark.parametrize(
    ("hook", "kinds", "error_type"),
    [
        ("register_before_snapshot(lambda: 1 / 0)", INIT[:2] + INIT[3:], "Runtime.BeforeSnapshotError"),
        ("register_after_restore(lambda: 1 / 0)", RESTORE, "Runtime.AfterRestoreError"),
        ("import os; register_after_restore(lambda: os._exit(7))", RESTORE, "Runtime.ExitError"),
    ],
)
def test_a_hook_that_fails_is_the_error_of_its_phase(
    start_lab: "StartLab", hook: str, kinds: list[str], error_type: str
) -> None:
    lab = start_lab(f"{HOOKS}{hook}\n{SOURCE}", init_type=InitType.SNAP_START, init_gap_s=0)
    given = lab.invoke()
    lab.wait_frozen()
    for kind in kinds[1:]:
        assert (lab.records(kind)[0]["status"], lab.records(kind)[0]["errorType"]) == ("error", error_type)
    if kinds == RESTORE:
        assert (given.status, given.exception) == (400, "SnapStartException")
        assert error_type in given.payload.decode()
    else:
        assert json.loads(given.payload)["errorType"] == "ZeroDivisionError"  # as the runtime posted it


def test_after_a_reset_a_snap_start_function_is_initialised_without_a_restore(start_lab: "StartLab") -> None:
    lab = start_lab(HOOKS + SOURCE, init_type=InitType.SNAP_START, init_gap_s=0)
    assert invoked(lab, "exit")["errorType"] == "Runtime.ExitError"
    again = [invoked(lab)["pid"] for _ in range(2)]
    assert again[0] == again[1]
    assert [record["phase"] for record in lab.records("initStart")] == ["init", "invoke"]
    assert len(lab.records("restoreStart")) == 1
    assert printed(lab) == ["before 2", "before 1", "after"] * 2
