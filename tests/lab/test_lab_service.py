"""How the service starts, and how it says that it cannot."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coldspan_lab.service import Function, Lab, LabError

if TYPE_CHECKING:
    from tests.lab.conftest import StartLab

SOURCE = "import time\ndef handler(event, context):\n    print('waiting')\n    time.sleep(60)\n"


def message_of(function: Function, layer: Path | None = None) -> str:
    with pytest.raises(LabError) as raised, Lab(function, layer=layer):
        pass
    return str(raised.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"memory_mb": 127}, "memory 127 MB: expected 128 to 10240"),
        ({"timeout_s": 901}, "timeout 901 s: expected 0.001 to 900"),
        ({"log_format": "XML"}, "log format 'XML': expected Text or JSON"),
        ({"python": Path("/no/python")}, "/no/python: cannot be run: No such file or directory"),
        ({"python": Path("/bin/echo")}, "/bin/echo: expected a Python 3; it said: "),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    assert message_of(Function(tmp_path, **settings)).startswith(message)


def test_missing_folders_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert message_of(Function(missing)) == f"{missing}: expected the folder that holds the function's code"
    assert message_of(Function(tmp_path), layer=missing).startswith(f"{missing}: expected a folder with a layer's tree")


def test_a_python_without_awslambdaric_is_told_how_to_get_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    assert message_of(Function(tmp_path, python=python)).endswith(f"{python} -m pip install awslambdaric")


def test_leaving_right_after_an_answer_lets_the_invocation_end_first(start_lab: "StartLab") -> None:
    extension = """
me = register(["INVOKE", "SHUTDOWN"])
next_event(me)
time.sleep(0.3)
serve(me)
"""
    lab = start_lab("def handler(event, context): return 1", extensions={"probe": extension})
    lab.invoke()
    lab.stop()
    assert lab.types()[-3:] == ["start", "runtimeDone", "report"]
    assert lab.records("report")[0]["status"] == "success"
    assert lab.records("report")[0]["metrics"]["durationMs"] >= 300
    assert [each["reason"] for each in lab.said("extension")] == ["spindown"]


def test_leaving_waits_no_longer_than_the_invocations_deadline(start_lab: "StartLab") -> None:
    extension = 'me = register(["INVOKE", "SHUTDOWN"])\nnext_event(me)\ntime.sleep(60)\n'
    lab = start_lab("def handler(event, context): return 1", extensions={"probe": extension}, timeout_s=1.0)
    lab.invoke()
    lab.stop()
    assert [record["status"] for record in lab.records("runtimeDone")] == ["success", "timeout"]


def test_a_failure_of_the_lab_itself_is_raised_to_the_caller_with_its_cause(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def handler(event, context): return 1")

    def fails(event: dict[str, Any]) -> None:
        if event["type"] == "platform.start":
            raise ZeroDivisionError("of the test")

    message = r"^the local Lambda service failed: ZeroDivisionError\('of the test'\)$"
    with pytest.raises(LabError, match=message) as raised, Lab(Function(tmp_path), on_event=fails) as lab:
        lab.invoke()
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_failure_of_the_lab_after_the_answer_is_in_its_log(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def handler(event, context): return 1")

    def fails(event: dict[str, Any]) -> None:
        if event["type"] == "platform.report":
            raise ZeroDivisionError("of the test")

    with Lab(Function(tmp_path), on_event=fails) as lab:
        assert lab.invoke().payload == b"1"
        lab.wait_frozen()
        said = [line.text for line in lab.log if line.source == "lab"]
    assert said == ["the local Lambda service failed: ZeroDivisionError('of the test')"]


def test_an_unknown_fault_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"^runtime-tired: expected one of init-timeout, runtime-killed-in-init, "):
        Lab(Function(tmp_path), faults=["runtime-tired"])


def test_ctrl_c_during_an_invocation_ends_everything(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SOURCE)
    program = f"""
import asyncio
from pathlib import Path
from coldspan_lab.service import Function, LocalLambda
async def main():
    async with LocalLambda(Function(Path({str(tmp_path)!r})), on_log=lambda line: print(line.text, flush=True)) as lab:
        await lab.invoke()
asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while process.stdout.readline() != "waiting\n":
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert process.returncode == -signal.SIGINT
    left = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _task_root(entry) == str(tmp_path)]
    assert left == []


def _task_root(process: Path) -> str | None:
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((each[17:].decode() for each in variables if each.startswith(b"LAMBDA_TASK_ROOT=")), None)
