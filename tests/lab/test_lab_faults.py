"""Every fault really happens, and the environment comes back from it; the real awslambdaric unless said otherwise."""

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from coldspan_lab.faults import COLLECTOR_REFUSALS, FAULTS, LIMIT_S, TELEMETRY_DELAY_S, Faults, Hindrance
from coldspan_lab.model import InitType
from coldspan_testing.cache import CHECKOUT

if TYPE_CHECKING:
    from tests.lab.conftest import ScriptedLab, StartLab

TICKING = """
import threading, time
def tick():
    while True:
        print("tick", flush=True)
        time.sleep(0.01)
"""
QUICK = TICKING + "def handler(event, context): return event\n"
LONG = (
    TICKING
    + """
def handler(event, context):
    if event == 1:
        threading.Thread(target=tick, daemon=True).start()
        time.sleep(60)
    return event
"""
)
LOADING = (
    TICKING
    + """
import os
def handler(event, context): return event
if not os.path.exists(os.environ["SECOND"]):
    open(os.environ["SECOND"], "w").close()
    threading.Thread(target=tick, daemon=True).start()
    time.sleep(60)
"""
)
SERVE = 'serve(register(["INVOKE", "SHUTDOWN"]))\n'
LISTEN = """
listen()
me = register(["INVOKE", "SHUTDOWN"])
say(subscribed=subscribe(me)[0])
serve(me)
"""


def outcome(lab: "ScriptedLab") -> list[tuple[str, str | None]]:
    """Status and error type of each report."""
    return [(record["status"], record.get("errorType")) for record in lab.records("report")]


def error_type(payload: bytes) -> Any:
    return json.loads(payload)["errorType"]


def ticks(lab: "ScriptedLab") -> int:
    """How long it ran, in hundredths of a second, roughly."""
    return sum(line.text == "tick" for line in lab.log)


def reasons(lab: "ScriptedLab") -> list[str]:
    return [each["reason"] for each in lab.said("extension") if each.get("event") == "SHUTDOWN"]


def events_of(lab: "ScriptedLab", kind: str) -> list[dict[str, Any]]:
    """What the scripted listener got of a kind."""
    got = [each["got"] for each in lab.said("extension") if "got" in each]
    return [event for event in got if event["type"] == f"platform.{kind}"]


@pytest.mark.parametrize("source", [QUICK, LOADING], ids=["quick", "loading"])
@pytest.mark.parametrize(
    ("fault", "status"), [("init-timeout", "timeout"), ("runtime-killed-in-init", "error")], ids=["stopped", "killed"]
)
def test_a_first_init_fails_wherever_it_is_and_is_repeated(
    start_lab: "StartLab", tmp_path: Any, source: str, fault: str, status: str
) -> None:
    lab = start_lab(
        source, extensions={"probe": SERVE}, faults=(fault,), environment={"SECOND": str(tmp_path / "second")}
    )
    assert lab.invoke(7).payload == b"7"
    lab.wait_frozen()
    first, second = lab.records("initReport")
    assert (first["phase"], first["status"]) == ("init", status)
    assert first.get("errorType") == (None if status == "timeout" else "Runtime.ExitError")
    assert (second["phase"], second["status"]) == ("invoke", "success")
    assert (first["metrics"]["durationMs"] >= LIMIT_S * 1000) is (status == "timeout")
    assert ticks(lab) < 75  # it stood still for the rest of the limit
    assert reasons(lab) == ([] if status == "timeout" else ["failure"])
    assert outcome(lab) == [("success", None)]


@pytest.mark.parametrize("source", [QUICK, LONG], ids=["quick", "long"])
@pytest.mark.parametrize(
    ("fault", "expected", "status", "reason"),
    [
        ("runtime-killed", "Runtime.ExitError", "error", "failure"),
        ("runtime-hangs", "Sandbox.Timedout", "timeout", "timeout"),
        ("out-of-memory", "Runtime.OutOfMemory", "error", "failure"),
    ],
)
def test_a_runtime_that_is_hit_in_the_first_invocation_is_replaced_for_the_second(
    start_lab: "StartLab", source: str, fault: str, expected: str, status: str, reason: str
) -> None:
    lab = start_lab(source, extensions={"probe": SERVE}, faults=(fault,), timeout_s=2.0, memory_mb=512)
    assert error_type(lab.invoke(1).payload) == expected
    assert lab.invoke(2).payload == b"2"
    lab.wait_frozen()
    assert outcome(lab) == [(status, expected if status == "error" else None), ("success", None)]
    assert lab.records("runtimeDone")[0]["status"] == status
    assert reasons(lab) == [reason]
    assert ticks(lab) < 100  # it did not run on until the timeout
    if fault == "out-of-memory":
        assert lab.records("report")[0]["metrics"]["maxMemoryUsedMB"] == 512
    elif fault == "runtime-killed":
        assert "signal: killed" in lab.records("fault")[0]


@pytest.mark.parametrize("source", [QUICK, LONG], ids=["quick", "long"])
def test_a_killed_extension_is_a_crash_and_everything_starts_anew(start_lab: "StartLab", source: str) -> None:
    lab = start_lab(source, extensions={"probe": SERVE}, faults=("extension-killed",))
    answer = lab.invoke(1)
    assert json.loads(answer.payload) == {
        "errorType": "Extension.Crash",
        "errorMessage": f"RequestId: {answer.request_id} Error: signal: killed",
    }
    assert lab.invoke(2).payload == b"2"
    assert lab.moments().count("extension spawned") == 2


def test_a_stopped_extension_times_out_after_the_response(start_lab: "StartLab") -> None:
    lab = start_lab(QUICK, extensions={"probe": SERVE}, faults=("extension-hangs",), timeout_s=1.0)
    assert lab.invoke(1).payload == b"1"
    lab.wait_frozen()
    assert [record["status"] for record in lab.records("runtimeDone")] == ["success", "timeout"]
    assert outcome(lab) == [("timeout", None)]
    assert reasons(lab) == []


def test_without_an_extension_there_is_none_to_hit(start_lab: "StartLab") -> None:
    lab = start_lab(QUICK, faults=("extension-killed", "extension-hangs"))
    assert lab.invoke(1).payload == b"1"


def test_a_stopped_restore_runs_into_its_limit(start_lab: "StartLab") -> None:
    lab = start_lab(QUICK, faults=("restore-timeout",), init_type=InitType.SNAP_START, init_gap_s=0)
    assert lab.invoke(1).exception == "SnapStartTimeoutException"
    assert lab.invoke(2).payload == b"2"
    (report,) = lab.records("restoreReport")
    assert report["status"] == "timeout"
    assert report["metrics"]["durationMs"] >= LIMIT_S * 1000


@pytest.mark.parametrize(
    ("fault", "code", "expected"),
    [
        ("response-too-large", 413, "Function.ResponseSizeTooLarge"),
        ("response-refused", 500, "Runtime.ExitError"),
    ],
)
def test_a_response_that_is_refused_ends_the_runtime_client(
    start_lab: "StartLab", fault: str, code: int, expected: str
) -> None:
    lab = start_lab(QUICK, faults=(fault,))
    assert error_type(lab.invoke(1).payload) == expected
    assert lab.invoke(2).payload == b"2"
    lab.wait_frozen()
    assert any(f"Http response code: {code}" in line.text for line in lab.log)
    assert outcome(lab) == [("error", "Runtime.ExitError"), ("success", None)]


def test_unsupported_telemetry_is_answered_as_by_the_emulator(start_lab: "StartLab") -> None:
    lab = start_lab(QUICK, extensions={"probe": LISTEN}, faults=("telemetry-unsupported",))
    lab.invoke(1)
    lab.stop()
    assert [each["subscribed"] for each in lab.said("extension") if "subscribed" in each] == [202]
    assert not events_of(lab, "initStart")
    assert "telemetrySubscription" not in lab.types()


def test_lost_telemetry_does_not_arrive(start_lab: "StartLab") -> None:
    lab = start_lab(QUICK, extensions={"probe": LISTEN}, faults=("telemetry-lost",))
    lab.invoke(1)
    lab.stop()
    assert [each["subscribed"] for each in lab.said("extension") if "subscribed" in each] == [200]
    assert not [each for each in lab.said("extension") if "got" in each]


def test_late_telemetry_arrives_while_the_environment_still_runs(start_lab: "StartLab") -> None:
    source = f"import time\ndef handler(event, context): time.sleep({TELEMETRY_DELAY_S * 2})\n"
    lab = start_lab(source, extensions={"probe": LISTEN}, faults=("telemetry-late",))
    lab.invoke(1)
    lab.stop()
    said = lab.said("extension")
    (shutdown,) = [each["now"] for each in said if each.get("event") == "SHUTDOWN"]
    (init,) = [each for each in said if each.get("got", {}).get("type") == "platform.initStart"]
    generated = datetime.fromisoformat(init["got"]["time"].replace("Z", "+00:00")).timestamp()
    assert generated + TELEMETRY_DELAY_S <= init["at"] < shutdown


def test_duplicated_telemetry_arrives_twice(start_lab: "StartLab") -> None:
    lab = start_lab(QUICK, extensions={"probe": LISTEN}, faults=("telemetry-duplicated",))
    for _ in range(2):
        lab.invoke(1)
        lab.wait_frozen()
    lab.stop()
    seen = Counter(json.dumps(each) for each in events_of(lab, "initStart"))
    assert list(seen.values()) == [2]


def test_reordered_telemetry_has_the_later_event_of_a_batch_first(start_lab: "StartLab") -> None:
    source = "import time\ndef handler(event, context): time.sleep(0.2)\n"
    lab = start_lab(source, extensions={"probe": LISTEN}, faults=("telemetry-reordered",))
    lab.invoke(1)
    lab.stop()
    got = [each["got"]["type"] for each in lab.said("extension") if "got" in each]
    assert got.index("platform.telemetrySubscription") < got.index("platform.initStart")


def test_faults_are_put_together_and_one_twice_is_one() -> None:
    faults = Faults.named(["collector-slow", "telemetry-late", "collector-503", "telemetry-lost", "collector-503"])
    assert faults.hindrance == Hindrance(delay_s=2.0, refusals=COLLECTOR_REFUSALS)
    assert faults.route.delay_s == TELEMETRY_DELAY_S
    assert faults.route.batches([b"1"]) == []


def test_the_docs_have_every_fault_as_the_table_has_it() -> None:
    rows = [line.split(" | ")[:2] for line in (CHECKOUT / "docs/faults.md").read_text().splitlines() if "| `" in line]
    assert rows == [[f"| `{name}`", fault.does] for name, fault in FAULTS.items()]
