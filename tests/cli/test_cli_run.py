"""Whole runs: the real service, the real runtime client, the real layer."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from coldspan_lab.demo_command import EVENT, FUNCTION
from coldspan_report import otlp
from coldspan_testing.otlp_receiver import OtlpReceiver
from coldspan_testing.trees import layer_tree

Coldspan = Callable[..., "subprocess.CompletedProcess[str]"]
MakeFunction = Callable[..., Path]

RUN = (Path(sys.executable).with_name("coldspan"), "run", "--layer")
HEAD = re.compile(r"(cold|warm|init) \| [0-9.]+ ms \| on-demand \| trace [0-9a-f]{32}")

TELLING = """
import os

print("loading with", sorted(name for name in os.environ if name.startswith(("OTEL_", "AWS_PROFILE"))))

def handler(event, context):
    if "fail" in event:
        raise ValueError(event["fail"])
    if "exit" in event:
        os._exit(event["exit"])
    return event
"""

WAITING = """
import os, signal

def handler(event, context):
    print("waiting", flush=True)
    signal.pause()
"""


def heads(output: str) -> list[str]:
    return [line.split(" | ")[0] for line in output.splitlines() if HEAD.fullmatch(line)]


def test_demo_prints_one_cold_and_two_warm_traces_and_how_to_send_them_on(coldspan: Coldspan) -> None:
    """Without a layer in the cache: it is built."""
    done = coldspan("demo")
    assert done.returncode == 0, done.stderr
    assert heads(done.stdout) == ["cold", "warm", "warm", "init", "cold"]
    good, failing = done.stdout.split("A start that fails")
    for name in ("init", "load handler", "next", "handler", "response", "import app"):
        assert re.search(rf"^ +{name} .* ms$", good, re.MULTILINE)
    assert "error" not in good
    assert re.search(r"cold: on demand, \d+ ms, \d+ % imports; .* via app\.py:\d+", good)
    assert re.search(r"^ +import price_rules .*error ModuleNotFoundError$", failing, re.MULTILINE)
    assert f"coldspan run --otlp http://localhost:4318 --event {EVENT} -n 3 {FUNCTION}" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    page = Path(unquote(urlsplit(done.stdout.split()[-1]).path))
    assert page.name == "demo.html"
    assert page.read_text().count('class="trace"') == 5


def test_events_take_turns_and_function_errors_are_answers(coldspan: Coldspan, function: MakeFunction) -> None:
    events = ["--event", '{"n": 1}', "--event", '{"fail": "no such order"}']
    done = coldspan("run", "--layer", layer_tree(), *events, "-n", "3", function(TELLING))
    assert done.returncode == 0, done.stderr
    assert heads(done.stdout) == ["cold", "warm", "warm"]
    assert done.stdout.count("error ValueError") == 2  # the SERVER span's and the handler's
    answers = [line for line in done.stderr.splitlines() if re.match(r"Invocation \d of 3: ", line)]
    assert answers[0] == answers[2].replace("3 of", "1 of") == 'Invocation 1 of 3: 200 {"n": 1}'
    assert answers[1].startswith('Invocation 2 of 3: 200 Unhandled {"errorMessage": "no such order"')


def test_an_event_may_be_a_file_and_is_an_empty_object_by_default(
    coldspan: Coldspan, function: MakeFunction, tmp_path: Path
) -> None:
    (tmp_path / "event.json").write_text('{"from": "a file"}')
    folder = function()
    of_file = coldspan("run", "--layer", layer_tree(), "--event", tmp_path / "event.json", folder)
    by_default = coldspan("run", "--layer", layer_tree(), folder)
    assert 'Invocation 1 of 1: 200 {"from": "a file"}' in of_file.stderr
    assert "Invocation 1 of 1: 200 {}" in by_default.stderr


def test_a_process_that_ends_is_an_answer_and_the_next_start_is_cold(
    coldspan: Coldspan, function: MakeFunction
) -> None:
    events = ["--event", '{"exit": 3}', "--event", "{}"]
    done = coldspan("run", "--layer", layer_tree(), *events, function(TELLING))
    assert done.returncode == 0, done.stderr
    assert heads(done.stdout) == ["cold", "cold"]
    assert "error Runtime.ExitError" in done.stdout


def test_the_shells_own_variables_do_not_reach_the_function(coldspan: Coldspan, function: MakeFunction) -> None:
    variables = {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "AWS_PROFILE": "me"}
    done = coldspan("run", "--layer", layer_tree(), function(TELLING), **variables)
    assert heads(done.stdout) == ["cold"]
    assert "function  | loading with ['OTEL_EXPORTER_OTLP_ENDPOINT']" in done.stderr


def test_a_fault_happens_in_the_first_invocation_and_the_next_recovers(
    coldspan: Coldspan, function: MakeFunction
) -> None:
    done = coldspan("run", "--layer", layer_tree(), "--fault", "runtime-killed", "-n", "2", function())
    assert done.returncode == 0, done.stderr
    assert "Invocation 1 of 2: 200 Unhandled" in done.stderr
    assert "Invocation 2 of 2: 200 {}" in done.stderr
    assert "Runtime.ExitError" in done.stdout


def test_without_a_collector_the_answers_are_the_same(coldspan: Coldspan, function: MakeFunction) -> None:
    done = coldspan("run", "--layer", layer_tree(), "--fault", "collector-down", function())
    assert done.returncode == 0, done.stderr
    assert "Invocation 1 of 1: 200 {}" in done.stderr
    assert "No spans came from the layer" in done.stderr


@pytest.mark.parametrize("init_type", ["on-demand", "proactive", "provisioned-concurrency", "snap-start"])
def test_init_type_is_what_the_function_is_told(coldspan: Coldspan, function: MakeFunction, init_type: str) -> None:
    folder = function("import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n")
    done = coldspan("run", "--layer", layer_tree(), "--init-type", init_type, folder)
    assert done.returncode == 0, done.stderr
    told = "on-demand" if init_type == "proactive" else init_type
    assert f'Invocation 1 of 1: 200 "{told}"' in done.stderr


def test_variables_that_are_named_reach_the_function(coldspan: Coldspan, function: MakeFunction) -> None:
    source = "import os\n\n\ndef handler(event, context):\n    return os.environ['TABLE']\n"
    done = coldspan("run", "--layer", layer_tree(), "--env", "TABLE=a=b", function(source))
    assert 'Invocation 1 of 1: 200 "a=b"' in done.stderr


def test_the_functions_python_may_be_named_from_here(coldspan: Coldspan, function: MakeFunction) -> None:
    here = os.path.relpath(sys.executable)
    done = coldspan("run", "--layer", layer_tree(), "--python", here, function(TELLING))
    assert done.returncode == 0, done.stderr


def test_json_is_the_only_output_and_one_line_for_each_export(coldspan: Coldspan, function: MakeFunction) -> None:
    done = coldspan("run", "--json", "--layer", layer_tree(), function())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {tuple(json.loads(line)) for line in lines} == {("resourceSpans",)}
    names = [span.name for line in lines for span in otlp.spans(otlp.from_json(line.encode()))]
    assert {"orders", "init", "next", "handler", "response"} <= set(names)
    assert names.count("orders") == 1


def test_otlp_sends_what_is_shown_to_a_collector_as_well(coldspan: Coldspan, function: MakeFunction) -> None:
    with OtlpReceiver() as receiver:
        done = coldspan("run", "--json", "--otlp", receiver.endpoint_http, "--layer", layer_tree(), function())
        exports = [otlp.from_json(line.encode()) for line in done.stdout.splitlines()]
        assert [received.body for received in receiver.requests] == exports
    count = len(exports)
    assert f"{count} of {count} exports forwarded to {receiver.endpoint_http}/v1/traces" in done.stderr


def test_a_collector_that_is_not_there_does_not_fail_the_run(coldspan: Coldspan, function: MakeFunction) -> None:
    done = coldspan("run", "--otlp", "http://127.0.0.1:1", "--layer", layer_tree(), function())
    assert done.returncode == 0
    assert heads(done.stdout) == ["cold"]
    assert done.stderr.count("could not be forwarded to http://127.0.0.1:1/v1/traces") == 1


def test_a_run_leaves_its_traces_as_a_page_and_its_imports_for_other_viewers(
    coldspan: Coldspan, function: MakeFunction, tmp_path: Path
) -> None:
    page, perfetto, speedscope = (tmp_path / name for name in ("page.html", "perfetto.json", "speedscope.json"))
    exports = ["--export", f"perfetto={perfetto}", "--export", f"speedscope={speedscope}"]
    done = coldspan("run", "--layer", layer_tree(), "-n", "2", "--html", page, *exports, function(TELLING))
    assert done.returncode == 0, done.stderr
    assert heads(done.stdout) == ["cold", "warm"]
    (trace_id,) = re.findall(r"^cold .* trace (\w+)$", done.stdout, re.MULTILINE)
    assert trace_id in page.read_text()
    assert {trace_id} == {json.loads(perfetto.read_text())["otherData"]["trace_id"]}
    assert [frame["name"] for frame in json.loads(speedscope.read_text())["shared"]["frames"]][:2] == [
        "load handler",
        "app (function)",
    ]
    assert f"The traces as a page: {page}" in done.stderr


def test_a_run_without_imports_has_nothing_to_export(
    coldspan: Coldspan, function: MakeFunction, tmp_path: Path
) -> None:
    options = ["--env", "COLDSPAN_IMPORTS=off", "--export", f"perfetto={tmp_path / 'p.json'}"]
    done = coldspan("run", "--layer", layer_tree(), *options, function())
    assert done.returncode == 1
    assert "p.json is not written: no cold start of this run has imports" in done.stderr.splitlines()[-1]


def test_a_page_that_cannot_be_written_is_said_after_the_traces(coldspan: Coldspan, function: MakeFunction) -> None:
    done = coldspan("run", "--layer", layer_tree(), "--html", "/dev/full", function())
    assert (done.returncode, heads(done.stdout)) == (1, ["cold"])
    assert done.stderr.splitlines()[-1] == "coldspan: /dev/full cannot be written: No space left on device"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_and_its_processes(
    environ: dict[str, str], function: MakeFunction, number: signal.Signals, status: int
) -> None:
    command: list[str | Path] = [*RUN, layer_tree(), function(WAITING)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert any("waiting" in line for line in running.stderr)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        assert len(children) >= 2  # the extension, the runtime
        os.kill(running.pid, number)
        output, errors = running.communicate(timeout=60)
    assert running.returncode == status
    assert not output
    assert "Traceback" not in errors
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def test_a_reader_that_has_seen_enough_is_no_traceback(environ: dict[str, str], function: MakeFunction) -> None:
    command: list[str | Path] = [*RUN, layer_tree(), "--json", function()]
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(command, env=environ, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(write_end)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
