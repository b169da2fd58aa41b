"""An environment's life: the order of starts, invocations, resets and shutdown, with real processes throughout."""

import asyncio
import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coldspan_lab.cgroups import confine
from coldspan_lab.service import Function, LocalLambda

if TYPE_CHECKING:
    from tests.lab.conftest import ScriptedLab, StartLab

SOURCE = """
import os, signal, subprocess, sys, time
def handler(event, context):
    print("handling", event)
    if event == "exit": sys.exit(3)
    if event == "hang": time.sleep(60)
    if event == "leave": subprocess.Popen(["sleep", "1000"], start_new_session=True)
    if event == "fill": return len(bytearray(400_000_000))
    return os.getpid()
"""
SERVE = 'serve(register(["INVOKE", "SHUTDOWN"]))\n'
COLD = ["initStart", "initRuntimeDone", "extension", "initReport", "start", "runtimeDone", "report"]


def invoked(lab: "ScriptedLab", event: str = "") -> Any:
    """The answer, once the environment is at rest again."""
    answer = lab.invoke(event)
    lab.wait_frozen()
    return json.loads(answer.payload)


def processes_with(variable: str) -> list[int]:
    """Every process of this machine that was started with the variable (NAME=value), except ourselves."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            variables = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue  # it has just ended
        if variable.encode() in variables.split(b"\0") and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def test_a_cold_start_generates_events_in_lambdas_order(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, extensions={"probe": SERVE})
    invoked(lab)
    assert lab.types() == COLD
    report = lab.records("report")[0]["metrics"]
    init = lab.records("initReport")[0]["metrics"]
    assert report["initDurationMs"] >= init["durationMs"] > 0
    assert report["billedDurationMs"] >= report["durationMs"] + report["initDurationMs"]
    assert 5 < report["maxMemoryUsedMB"] < 500
    spans = [span["name"] for span in lab.records("runtimeDone")[0]["spans"]]
    assert spans == ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert [span["name"] for span in lab.records("report")[0]["spans"]] == ["extensionOverhead"]
    assert lab.records("extension") == [{"name": "probe", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}]


def test_a_warm_invocation_has_no_init_and_the_same_process(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, extensions={"probe": SERVE})
    assert invoked(lab) == invoked(lab)
    assert lab.types() == [*COLD, "start", "runtimeDone", "report"]
    assert "initDurationMs" not in lab.records("report")[1]["metrics"]
    assert lab.moments().count("frozen") == 2


def test_the_runtime_starts_when_every_extension_has_registered_in_the_order_of_names(start_lab: "StartLab") -> None:
    program = "say(started=time.time())\nme = register([])\nsay(registered=time.time())\nnext_event(me)\n"
    lab = start_lab(
        runtime="say(runtime=time.time())\nid, _, _ = next_invocation()\nrespond(id)\nnext_invocation()\n",
        extensions={"b": program, "a": program},
    )
    lab.invoke()
    (runtime,) = lab.said("function")
    said = lab.said("extension")
    assert runtime["runtime"] > max(each["started"] for each in said if "started" in each)
    moments = lab.moments()
    assert moments[:2] == ["extension spawned"] * 2
    assert (
        moments.index("runtime spawned") > [at for at, what in enumerate(moments) if what == "extension registered"][1]
    )
    assert [record["name"] for record in lab.records("extension")] == ["a", "b"]


def test_extension_and_runtime_have_the_same_deadline(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
id, headers, _ = next_invocation()
respond(id, headers["lambda-runtime-deadline-ms"])
next_invocation()
""",
        extensions={"probe": SERVE},
    )
    deadline_ms = invoked(lab)
    assert [each["deadline"] for each in lab.said("extension")] == [deadline_ms]


def test_an_extension_without_invoke_is_not_asked_and_not_waited_for(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, extensions={"probe": 'serve(register(["SHUTDOWN"]))\n'})
    invoked(lab)
    lab.stop()
    assert [each["event"] for each in lab.said("extension")] == ["SHUTDOWN"]


def test_a_timeout_resets_and_the_next_invocation_initialises_anew_before_its_start(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, extensions={"probe": SERVE}, timeout_s=3.0)
    first = invoked(lab)
    invoked(lab, "hang")
    assert lab.types()[len(COLD) :] == ["start", "runtimeDone", "report"]
    done, report = lab.records("runtimeDone")[1], lab.records("report")[1]
    assert (done["status"], report["status"], report["metrics"]["durationMs"]) == ("timeout", "timeout", 3000.0)
    assert "errorType" not in done
    assert invoked(lab) != first
    assert lab.types()[len(COLD) + 3 :] == COLD
    assert [record["phase"] for record in lab.records("initStart")] == ["init", "invoke"]
    assert "initDurationMs" not in lab.records("report")[2]["metrics"]
    init_ms = lab.records("initReport")[1]["metrics"]["durationMs"]
    assert lab.records("report")[2]["metrics"]["durationMs"] > init_ms
    shutdowns = [each["reason"] for each in lab.said("extension") if each["event"] == "SHUTDOWN"]
    assert shutdowns == ["timeout"]


def test_an_exit_in_an_invocation_is_a_fault_and_a_reset_with_reason_failure(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, extensions={"probe": SERVE})
    answer = lab.invoke("exit")
    lab.wait_frozen()
    assert lab.types()[-4:] == ["start", "fault", "runtimeDone", "report"]
    assert lab.records("fault") == [
        f"RequestId: {answer.request_id} Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n"
    ]
    for record in lab.records("runtimeDone") + lab.records("report"):
        assert (record["status"], record["errorType"]) == ("error", "Runtime.ExitError")
    assert [each["reason"] for each in lab.said("extension")] == [None, "failure"]


def test_an_exit_after_the_response_leaves_the_answer_and_is_an_error(start_lab: "StartLab") -> None:
    lab = start_lab(runtime="id, _, _ = next_invocation()\nrespond(id, '1')\nos._exit(4)\n")
    assert invoked(lab) == 1
    assert [(each["status"], each["errorType"]) for each in lab.records("runtimeDone")] == [
        ("error", "Runtime.ExitError")
    ]


def test_an_extension_that_holds_next_past_the_deadline_turns_the_invocation_into_a_timeout(
    start_lab: "StartLab",
) -> None:
    lab = start_lab(
        SOURCE,
        extensions={"probe": 'me = register(["INVOKE", "SHUTDOWN"])\nsay(**next_event(me))\ntime.sleep(60)\n'},
        timeout_s=1.0,
    )
    assert isinstance(invoked(lab), int)
    assert [record["status"] for record in lab.records("runtimeDone")] == ["success", "timeout"]
    assert lab.records("report")[0]["status"] == "timeout"
    assert [each["eventType"] for each in lab.said("extension")] == ["INVOKE"]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ('next_event(register(["INVOKE"]))\nsys.exit(7)\n', "exit status 7"),
        ('next_event(register(["INVOKE"]))\n', "exit code 0"),
    ],
)
def test_an_extension_that_exits_crashes_the_invocation(start_lab: "StartLab", program: str, message: str) -> None:
    lab = start_lab(SOURCE, extensions={"probe": program})
    answer = lab.invoke("hang")
    assert json.loads(answer.payload) == {
        "errorType": "Extension.Crash",
        "errorMessage": f"RequestId: {answer.request_id} Error: {message}",
    }


def test_an_exit_error_is_what_the_exit_is_called(start_lab: "StartLab") -> None:
    program = """
me = register(["INVOKE"])
next_event(me)
call("POST", "/2020-01-01/extension/exit/error", "{}", {**me, "Lambda-Extension-Function-Error-Type": "Extension.Why"})
sys.exit(1)
"""
    lab = start_lab(SOURCE, extensions={"probe": program})
    assert json.loads(lab.invoke("hang").payload)["errorType"] == "Extension.ExitError"


def test_an_extension_that_exits_before_it_registers_fails_init_twice(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, extensions={"probe": "sys.exit(1)\n"})
    assert invoked(lab)["errorType"] == "Extension.Crash"
    assert lab.types() == [*COLD[:4], *COLD[:4], "start", "fault", "runtimeDone", "report"]
    assert [record["state"] for record in lab.records("extension")] == ["Started", "Started"]


def test_an_extension_that_cannot_be_started_is_a_launch_error(start_lab: "StartLab", tmp_path: Path) -> None:
    extensions = tmp_path / "layer" / "extensions"
    extensions.mkdir(parents=True)
    (extensions / "README").write_text("no program")
    (extensions / "folder").mkdir()
    lab = start_lab(SOURCE, extensions={"probe": SERVE})
    value = invoked(lab)
    assert value["errorType"] == "Extension.LaunchError"
    assert value["errorMessage"].endswith("/extensions/README: permission denied")
    assert lab.types()[:3] == ["initStart", "extension", "initReport"]
    assert lab.records("extension")[0] == {
        "name": "README",
        "state": "LaunchError",
        "events": [],
        "errorType": "PermissionDenied",
    }


def test_an_init_over_its_limit_is_killed_and_repeated_under_the_function_timeout(
    start_lab: "StartLab", tmp_path: Path
) -> None:
    lab = start_lab(
        f"""
import os, time
if not os.path.exists({str(tmp_path / "second")!r}):
    open({str(tmp_path / "second")!r}, "w")
    time.sleep(60)
def handler(event, context): return "slow"
""",
        init_limit_s=1.0,
    )
    assert invoked(lab) == "slow"
    first, second = lab.records("initReport")
    assert (first["status"], first["phase"]) == ("timeout", "init")
    assert 1000 <= first["metrics"]["durationMs"] < 10_000  # and not for the 60 s
    assert (second["status"], second["phase"]) == ("success", "invoke")
    assert "errorType" not in lab.records("initRuntimeDone")[0]


def test_a_repeated_init_counts_against_the_function_timeout(start_lab: "StartLab") -> None:
    lab = start_lab("import time\ntime.sleep(1)\nimport missing\n", timeout_s=0.5)
    assert invoked(lab)["errorType"] == "Sandbox.Timedout"
    assert lab.types() == [*COLD[:2], COLD[3], *COLD[:2], COLD[3], *COLD[4:]]
    assert [record["status"] for record in lab.records("initReport")] == ["error", "timeout"]


def test_overlapping_invocations_get_environments_of_their_own_and_too_many_are_throttled(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import os, socket\n"
        "def handler(port, context):\n"
        "    with socket.create_connection(('127.0.0.1', port)) as meeting:\n"
        "        meeting.recv(1)\n"
        "    return os.getpid()\n"
    )

    async def scenario() -> tuple[list[Any], int]:
        met: list[asyncio.StreamWriter] = []

        async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            met.append(writer)
            for each in met if len(met) == 10 else ():  # all are in their handlers now
                each.close()

        meeting = await asyncio.start_server(meet, "127.0.0.1", 0)
        port = str(meeting.sockets[0].getsockname()[1]).encode()
        async with LocalLambda(Function(tmp_path)) as service, meeting:
            invocations = [asyncio.ensure_future(service.invoke(port)) for _ in range(10)]
            await asyncio.sleep(0)
            throttled = await service.invoke(port)
            return [json.loads((await each).payload) for each in invocations], throttled.status

    pids, status = asyncio.run(scenario())
    assert len(set(pids)) == 10
    assert status == 429


def test_a_spindown_ends_the_runtime_first_and_then_tells_the_extension(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
def terminated(*_):
    say(terminated=time.time())
    sys.exit()
signal.signal(signal.SIGTERM, terminated)
id, _, _ = next_invocation()
respond(id)
next_invocation()
""",
        extensions={"probe": SERVE},
    )
    lab.invoke()
    lab.stop()
    (runtime,) = lab.said("function")
    event = lab.said("extension")[-1]
    assert (event["event"], event["reason"]) == ("SHUTDOWN", "spindown")
    assert runtime["terminated"] < event["now"]
    begun_s = lab.timeline[-2].time_unix_ns / 1e9
    assert begun_s + 2.0 - 0.001 <= event["deadline"] / 1000 <= event["now"] + 2.0


def test_a_runtime_that_ignores_sigterm_is_killed_after_its_share(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
id, _, _ = next_invocation()
respond(id)
next_invocation()
""",
        extensions={"probe": SERVE},
    )
    lab.invoke()
    lab.stop()
    event = lab.said("extension")[-1]
    assert 0 < event["deadline"] / 1000 - event["now"] <= 1.4


def test_an_extension_that_ignores_shutdown_is_killed_at_the_deadline(start_lab: "StartLab", tmp_path: Path) -> None:
    lab = start_lab(SOURCE, extensions={"probe": SERVE + "time.sleep(60)\n"}, environment={"MARK": str(tmp_path)})
    invoked(lab)
    lab.stop()
    begun, done = lab.timeline[-2:]
    assert 2.0 <= (done.time_unix_ns - begun.time_unix_ns) / 1e9 < 10  # and not after the 60 s
    assert processes_with(f"MARK={tmp_path}") == []


def test_without_extensions_the_runtime_is_killed_at_once(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
signal.signal(signal.SIGTERM, lambda *_: say(terminated=True))
id, _, _ = next_invocation()
respond(id)
next_invocation()
"""
    )
    lab.invoke()
    lab.stop()
    begun, done = lab.timeline[-2:]
    assert (done.time_unix_ns - begun.time_unix_ns) / 1e9 < 2.0
    assert lab.said("function") == []


def test_no_process_is_left_not_even_one_that_made_a_session_of_its_own(start_lab: "StartLab", tmp_path: Path) -> None:
    lab = start_lab(SOURCE, extensions={"probe": SERVE}, environment={"MARK": str(tmp_path)})
    runtime = invoked(lab, "leave")
    assert runtime in processes_with(f"MARK={tmp_path}")
    lab.stop()
    assert processes_with(f"MARK={tmp_path}") == []


def test_a_killed_lab_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def handler(event, context): return 1")
    lab = f"""
import sys
from pathlib import Path
from coldspan_lab.service import Function, Lab
with Lab(Function(Path({str(tmp_path)!r}), environment={{"MARK": {str(tmp_path)!r}}})) as lab:
    lab.invoke()
    lab.wait_frozen()
    print("frozen", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen([sys.executable, "-c", lab], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == "frozen\n"
        (runtime,) = processes_with(f"MARK={tmp_path}")
        channel = Path(f"/proc/{runtime}/environ").read_bytes().partition(b"COLDSPAN_CHANNEL=")[2].split(b"\0")[0]
        watched = os.pidfd_open(runtime)
        process.kill()
        process.wait()
        assert select.select([watched], [], [], 60)[0], "the runtime was not ended"
        os.close(watched)
    folder = Path(os.fsdecode(channel)).parent
    while folder.exists():  # the guard is still tidying up
        os.sched_yield()


def test_a_function_over_its_memory_is_out_of_memory(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, memory_mb=128, limit_resources=True)
    if not _memory_can_be_limited():
        pytest.skip("memory cannot be limited here")
    assert invoked(lab, "fill")["errorType"] == "Runtime.OutOfMemory"
    assert lab.records("report")[0]["metrics"]["maxMemoryUsedMB"] == 128
    assert lab.records("runtimeDone")[0]["errorType"] == "Runtime.OutOfMemory"


def _memory_can_be_limited() -> bool:
    confinement = confine("coldspan-probe-of-the-tests", 128, lambda _: None)
    confinement.close()
    return confinement.limited
