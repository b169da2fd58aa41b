"""Whatever is missing, broken or misconfigured: the function answers, and one line says what is wrong."""

import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from coldspan_lab.service import Function, Lab, Moment
from coldspan_testing import interpreters, trees
from coldspan_testing.otlp_receiver import Hang, Refuse, spans_of
from coldspan_testing.ports import free_port, nobody_listens
from coldspan_testing.runs import FUNCTIONS, StartRun
from coldspan_testing.shapes import IF_SLOW, RunSource

QUIET = {"COLDSPAN_IMPORTS": "off", "COLDSPAN_MODULE_BODY": "off"}
"""Where spans are counted: of imports, how long they take decides."""


@pytest.fixture
def tree_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(trees.layer_tree("3.11"), tmp_path / "tree", symlinks=True))


def test_a_collector_that_is_down_costs_no_answer_and_is_said_once(start_run: StartRun) -> None:
    with nobody_listens() as endpoint:
        run = start_run(endpoint="", COLDSPAN_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="200", **QUIET)
        for number in range(3):
            assert run.lab.invoke(number).payload == str(number).encode()
            run.lab.wait_frozen()
        run.close()
    assert len(run.logged("export_failed")) == 1
    (dropped,) = run.logged("spans_dropped")
    assert dropped["reason"] == "shutdown"
    of_traces = 8 + 4 + 4 + 3  # of one cold and two warm ones, and their `after response`
    assert of_traces <= int(str(dropped["count"])) <= of_traces + 3 * len(IF_SLOW)


def test_a_collector_that_is_down_is_not_waited_for_at_every_invocation(start_run: StartRun) -> None:
    with nobody_listens() as endpoint:
        run = start_run(endpoint="", COLDSPAN_ENDPOINT=endpoint)
        for number in range(3):
            run.lab.invoke(number)
            run.lab.wait_frozen()
    assert run.held_ns[0] < 4e9
    assert max(run.held_ns[1:]) < 0.2e9


def test_what_a_collector_refused_for_a_while_arrives_later(start_run: StartRun) -> None:
    run = start_run(answers=(Refuse(503, retry_after_s=60),))
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.lab.invoke(2)
    run.lab.wait_frozen()
    run.close()
    assert len(run.servers) == 2


def test_spans_that_a_collector_rejects_for_good_are_counted_on_the_next_trace(start_run: StartRun) -> None:
    run = start_run(answers=(Refuse(400),), **QUIET)
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.lab.invoke(2)
    run.close()
    (warm,) = run.servers
    refused = spans_of(run.receiver.requests[0].body)
    assert warm.attributes["coldspan.dropped.spans"] == len([*refused]) >= 8


def test_what_was_to_tell_of_lost_spans_and_is_lost_itself_hides_none_of_them(start_run: StartRun) -> None:
    run = start_run(answers=(Refuse(400), Refuse(400)), **QUIET)
    for number in range(3):
        run.lab.invoke(number)
        run.lab.wait_frozen()
    run.close()
    (dropped,) = run.logged("spans_dropped")
    first, last = ([*spans_of(request.body)] for request in run.receiver.requests)
    assert dropped["count"] == len(first) + len(last) >= 8 + 4 + 4 + 3  # as in the first test


def test_a_collector_that_hangs_holds_one_environment_once_and_never_to_the_deadline(start_run: StartRun) -> None:
    release = threading.Event()
    run = start_run(answers=(Hang(release),), timeout_s=2.0)
    try:
        first = run.lab.invoke(1)
        run.lab.wait_frozen()
        second = run.lab.invoke(2)
        run.lab.wait_frozen()
    finally:
        release.set()
    run.close()
    assert [first.function_error, second.function_error] == [None, None]
    done = [event["record"]["status"] for event in run.lab.events if event["type"] == "platform.runtimeDone"]
    assert done == ["success", "success"]
    assert run.held_ns[0] < 2e9
    assert run.held_ns[1] < 0.5e9
    assert len({server.span.span_id for server in run.servers}) == 2  # one may have come twice: ids stay


def test_without_the_wrapper_the_platforms_events_make_the_trace(start_run: StartRun, tree_copy: Path) -> None:
    (tree_copy / "coldspan-exec").unlink()
    run = start_run(layer=tree_copy)
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.lab.invoke(2)
    run.close()
    assert [server.attributes["faas.coldstart"] for server in run.servers] == [True, False]
    assert len(run.logged("runtime_unobserved")) == 1


def test_an_extension_that_is_not_there_is_not_missed(tree_copy: Path) -> None:
    shutil.rmtree(tree_copy / "extensions")
    with Lab(Function(FUNCTIONS / "echo", python=interpreters.runtime("3.11")), layer=tree_copy) as lab:
        assert [lab.invoke(number).payload for number in range(3)] == [b"0", b"1", b"2"]


@pytest.mark.parametrize("name", ["extract_traceback", "create_lambda_context", "_get_handler"])
def test_a_runtime_client_of_another_shape_runs_unobserved_with_one_warning(
    start_run: StartRun, tmp_path: Path, name: str
) -> None:
    site = interpreters.runtime("3.11").parents[1] / "lib" / "python3.11" / "site-packages"
    client = Path(shutil.copytree(site / "awslambdaric", tmp_path / "awslambdaric"))
    bootstrap = client / "bootstrap.py"
    bootstrap.write_text(re.sub(rf"\b{name}\b", "renamed_by_a_test", bootstrap.read_text()))
    shutil.copy(FUNCTIONS / "echo" / "app.py", tmp_path)
    run = start_run(function=tmp_path, OTEL_LOG_LEVEL="debug")
    assert run.lab.invoke(1).payload == b"1"
    run.lab.wait_frozen()
    assert run.lab.invoke("raise").function_error == "Unhandled"
    run.close()
    (warning,) = run.logged("runtime_client_unrecognised")
    assert warning["reason"] == f"awslambdaric.bootstrap has no {name}"
    assert len(run.servers) == 2


def test_a_runtime_client_of_a_shape_nobody_thought_of_runs_unobserved_too(start_run: StartRun, tmp_path: Path) -> None:
    site = interpreters.runtime("3.11").parents[1] / "lib" / "python3.11" / "site-packages"
    client = Path(shutil.copytree(site / "awslambdaric", tmp_path / "awslambdaric"))
    marshaller = client / "lambda_runtime_marshaller.py"
    with_slots = 'class LambdaMarshaller:\n    __slots__ = ("jsonEncoder",)\n'
    marshaller.write_text(marshaller.read_text().replace("class LambdaMarshaller:\n", with_slots))
    shutil.copy(FUNCTIONS / "echo" / "app.py", tmp_path)
    run = start_run(function=tmp_path)
    assert run.lab.invoke(1).payload == b"1"
    run.lab.wait_frozen()
    run.close()
    assert len(run.logged("runtime_client_unrecognised")) == 1


def test_a_python_older_than_ours_runs_its_command_untouched(tmp_path: Path) -> None:
    old = next((Path(found) for name in ("3.8", "3.9") if (found := shutil.which(f"python{name}"))), None)
    if old is None or subprocess.run([old, "-c", ""], check=False, capture_output=True).returncode:
        pytest.skip("no Python 3.8 or 3.9 on this machine")
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(sys.argv, sys.version_info[:2])\n")
    command = [str(trees.layer_tree("3.11") / "coldspan-exec"), str(old), str(script), "word"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"['{script}', 'word'] (3, ")


def test_a_python_program_that_is_no_runtime_client_we_know_still_runs(tmp_path: Path) -> None:
    script = tmp_path / "own_runtime.py"
    script.write_text(
        "import os, urllib.request as u\n"
        "api = f\"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation\"\n"
        "while True:\n"
        "    with u.urlopen(f'{api}/next') as event:\n"
        "        body, id = event.read(), event.headers['Lambda-Runtime-Aws-Request-Id']\n"
        "    u.urlopen(f'{api}/{id}/response', data=body).close()\n"
    )
    wrapper = tmp_path / "exec"
    tree = trees.layer_tree("3.11")
    wrapper.write_text(f'#!/bin/sh\nexec "{tree}/coldspan-exec" "$1" "{script}"\n')
    wrapper.chmod(0o755)
    function = Function(
        FUNCTIONS / "echo",
        python=interpreters.runtime("3.11"),
        environment={"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)},
    )
    with Lab(function, layer=tree) as lab:
        assert lab.invoke(b"1").payload == b"1"
        lab.wait_frozen()
    assert sum("runtime_unobserved" in line.text for line in lab.log) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("COLDSPAN_FLUSH", "never"),
        ("COLDSPAN_EXPORTER", "fast"),
        ("COLDSPAN_PROACTIVE_AFTER", "1s"),
        ("OTEL_LOG_LEVEL", "loud"),
        ("OTEL_SDK_DISABLED", "1"),
        ("COLDSPAN_LISTEN", "0.0.0.0:²"),
        ("COLDSPAN_LISTEN", "192.0.2.1:24318"),
    ],
)
def test_a_bad_setting_costs_that_setting_and_one_warning(start_run: StartRun, variable: str, value: str) -> None:
    run = start_run(**{variable: value})
    for number in range(2):
        assert run.lab.invoke(number).payload == str(number).encode()
        run.lab.wait_frozen()
    run.close()
    (warning,) = run.logged("config_invalid")
    assert (warning["variable"], warning["value"]) == (variable, value)
    assert warning["accepted"]
    assert len(run.servers) == 2


def test_a_channel_that_cannot_be_had_is_said_and_the_function_runs(start_run: StartRun, tmp_path: Path) -> None:
    run = start_run(COLDSPAN_CHANNEL=str(tmp_path / "no" / "such" / "folder"))
    assert run.lab.invoke(1).payload == b"1"
    run.lab.wait_frozen()
    run.close()
    assert len(run.logged("channel_unavailable")) == 1
    assert len(run.servers) == 1


def test_an_endpoint_that_is_our_own_listener_counts_as_unset(start_run: StartRun) -> None:
    listen = f"127.0.0.1:{free_port()}"
    run = start_run(endpoint="", COLDSPAN_LISTEN=listen, COLDSPAN_ENDPOINT=f"http://{listen}")
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.close()
    assert len(run.logged("endpoint_is_own_listener")) == 1
    assert run.stdout_lines


def test_switched_off_the_runtimes_command_runs_untouched(start_run: StartRun) -> None:
    run = start_run("neutral", OTEL_SDK_DISABLED="true")
    answer = run.lab.invoke({"do": "look"})
    assert b"coldspan_wrapper" not in answer.payload
    run.lab.wait_frozen()
    run.close()
    assert run.receiver.requests == []
    assert run.logged("runtime_unobserved") == []


def test_grpc_goes_out_where_the_layer_was_built_with_it(start_run: StartRun) -> None:
    tree = trees.layer_tree("3.11", with_grpc=True)
    run = start_run(layer=tree, endpoint="grpc", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.close()
    assert {request.protocol for request in run.receiver.requests} == {"grpc"}
    assert len(run.servers) == 1


def test_grpc_without_it_is_one_warning_and_http(start_run: StartRun) -> None:
    run = start_run(OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.lab.invoke(2)
    run.close()
    assert len(run.logged("grpc_unavailable")) == 1
    assert {request.protocol for request in run.receiver.requests} == {"http/protobuf"}
    assert len(run.servers) == 2


def test_under_another_python_than_the_layers_it_works_and_says_so_once(start_run: StartRun, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(trees.layer_tree("3.13"), tmp_path / "tree", symlinks=True))
    run = start_run(python="3.12", layer=tree)
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.lab.invoke(2)
    run.close()
    (warning,) = run.logged("python_differs")
    assert (warning["built_for"], warning["running"]) == ("3.13", "3.12")
    assert len(run.servers) == 2
    assert not list(tree.rglob("*.cpython-312.pyc"))


def test_without_bash_python_registers_itself(start_run: StartRun, tree_copy: Path) -> None:
    entry = tree_copy / "extensions" / "coldspan"
    entry.write_text(entry.read_text().replace("[ -x /bin/bash ] && exec", "[ -x /no/bash ] && exec"))
    run = start_run(layer=tree_copy)
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.close()
    assert len(run.servers) == 1


def test_without_any_python_the_extension_waits_and_the_function_runs(tree_copy: Path) -> None:
    entry = tree_copy / "extensions" / "coldspan"
    entry.write_text(entry.read_text().replace('"python$version" python3', "no-such-python"))
    with Lab(Function(FUNCTIONS / "echo", python=interpreters.runtime("3.11")), layer=tree_copy) as lab:
        assert lab.invoke(1).payload == b"1"
        lab.wait_frozen()
        assert lab.invoke(2).payload == b"2"
    assert sum("no_python" in line.text for line in lab.log) == 1


def test_a_fault_while_the_first_event_is_awaited_costs_no_event(tree_copy: Path) -> None:
    """A second request for the next event would be refused, and the first one's event be lost."""
    module = tree_copy / "coldspan" / "extension" / "coldspan_extension" / "assembly.py"
    module.write_text("raise RuntimeError('broken by a test')\n")
    shutil.rmtree(module.parent / "__pycache__")
    function = Function(FUNCTIONS / "slow_init", python=interpreters.runtime("3.11"), timeout_s=2)
    with Lab(function, layer=tree_copy) as lab:
        for number in range(3):
            assert lab.invoke(number).payload == str(number).encode()
            lab.wait_frozen()
    done = [event["record"]["status"] for event in lab.events if event["type"] == "platform.runtimeDone"]
    assert done == ["success"] * 3


def test_an_extension_of_which_nothing_can_be_imported_still_asks_for_events(tree_copy: Path) -> None:
    module = tree_copy / "coldspan" / "extension" / "coldspan_extension" / "poller.py"
    module.write_text("raise RuntimeError('broken by a test')\n")
    shutil.rmtree(module.parent / "__pycache__")
    with Lab(Function(FUNCTIONS / "echo", python=interpreters.runtime("3.11")), layer=tree_copy) as lab:
        assert [lab.invoke(number).payload for number in range(3)] == [b"0", b"1", b"2"]
    assert sum("extension_idle" in line.text for line in lab.log) == 1


def test_a_fault_inside_the_extension_leaves_it_asking_for_events(tree_copy: Path) -> None:
    module = tree_copy / "coldspan" / "extension" / "coldspan_extension" / "assembly.py"
    module.write_text("raise RuntimeError('broken by a test')\n")
    shutil.rmtree(module.parent / "__pycache__")
    with Lab(Function(FUNCTIONS / "echo", python=interpreters.runtime("3.11")), layer=tree_copy) as lab:
        for number in range(3):
            assert lab.invoke(number).payload == str(number).encode()
            lab.wait_frozen()
    (line,) = [line.text for line in lab.log if "extension_idle" in line.text]
    assert "broken by a test" in line
    assert [mark.what for mark in lab.timeline].count(Moment.RUNTIME_SPAWNED) == 1


def test_a_span_that_cannot_be_made_costs_itself_alone(start_run: StartRun, tree_copy: Path) -> None:
    module = tree_copy / "coldspan" / "extension" / "coldspan_extension" / "trace.py"
    module.write_text(module.read_text() + "\n\nTracer.after_response = None\n")
    shutil.rmtree(module.parent / "__pycache__")
    run = start_run(layer=tree_copy)
    for number in range(3):
        run.lab.invoke(number)
        run.lab.wait_frozen()
    run.close()
    assert len(run.servers) == 3
    assert len(run.logged("trace_lost")) == 3


def test_a_fault_at_shutdown_ends_the_extension_all_the_same(tree_copy: Path) -> None:
    """A request for one more event would be answered by SIGKILL, at the end of the time that Lambda gives."""
    module = tree_copy / "coldspan" / "extension" / "coldspan_extension" / "assembly.py"
    module.write_text(module.read_text() + "\n\nAssembly.shut_down = None\n")
    shutil.rmtree(module.parent / "__pycache__")
    with Lab(Function(FUNCTIONS / "echo", python=interpreters.runtime("3.11")), layer=tree_copy) as lab:
        lab.invoke(1)
        lab.wait_frozen()
    (began, ended) = [
        mark.time_unix_ns for mark in lab.timeline if mark.what in (Moment.SHUTDOWN_BEGUN, Moment.SHUTDOWN_DONE)
    ]
    assert ended - began < 1.5e9
    assert sum("extension_idle" in line.text for line in lab.log) == 1


def test_a_fault_inside_the_wrapper_leaves_the_function_unobserved(start_run: StartRun, tree_copy: Path) -> None:
    module = tree_copy / "coldspan" / "wrapper" / "coldspan_wrapper" / "facts.py"
    module.write_text("def of_event(event):\n    raise RuntimeError('broken by a test')\n")
    shutil.rmtree(module.parent / "__pycache__")
    run = start_run(layer=tree_copy)
    began = [run.lab.invoke(number).payload for number in range(3)]
    run.lab.wait_frozen()
    run.close()
    assert began == [b"0", b"1", b"2"]
    (warning,) = run.logged("wrapper_disabled")
    assert warning["reason"] == "RuntimeError: broken by a test"
    assert len(run.servers) == 3


BECOMES_ANOTHER = """
import os, sys
if "AGAIN" not in os.environ:
    os.execve(sys.executable, sys.orig_argv, {**os.environ, "AGAIN": "1"})
def handler(event, context):
    return event
"""
LOSES_THE_PIPE = """
import os
def handler(event, context):
    if os.path.exists(os.environ["COLDSPAN_CHANNEL"]):
        os.unlink(os.environ["COLDSPAN_CHANNEL"])
    os.closerange(900, 1024)
    return event
"""


@pytest.mark.parametrize("source", [BECOMES_ANOTHER, LOSES_THE_PIPE])
def test_a_wrapper_that_is_heard_no_more_is_waited_for_once_and_no_error(run_source: RunSource, source: str) -> None:
    """Without telemetry nobody else tells that the response is out."""
    run = run_source(source, timeout_s=2.0, faults=("telemetry-unsupported",))
    answers = []
    for number in range(4):
        answers.append(run.lab.invoke(number))
        run.lab.wait_frozen()
    free = {mark.request_id: mark.time_unix_ns for mark in run.lab.timeline if mark.what is Moment.EXTENSIONS_READY}
    out = {mark.request_id: mark.time_unix_ns for mark in run.lab.timeline if mark.what is Moment.RESPONSE_ACCEPTED}
    held_s = [(free[answer.request_id] - out[answer.request_id]) / 1e9 for answer in answers]
    assert sum(held_s[1:]) < 1
    run.close()
    assert [server.attributes.get("error.type") for server in run.servers] == [None] * 4
    assert len(run.logged("runtime_unobserved")) == 1


def test_a_wrapper_that_cannot_even_start_gives_way_to_the_runtime(tree_copy: Path) -> None:
    module = tree_copy / "coldspan" / "wrapper" / "coldspan_wrapper" / "launch.py"
    module.write_text("raise RuntimeError('broken by a test')\n")
    shutil.rmtree(module.parent / "__pycache__")
    with Lab(Function(FUNCTIONS / "echo", python=interpreters.runtime("3.11")), layer=tree_copy) as lab:
        assert lab.invoke(1).payload == b"1"
