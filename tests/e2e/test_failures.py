"""Every failure leaves a whole, true trace: real functions that fail by themselves, and the faults of the lab."""

import shutil
import sys
from datetime import datetime
from pathlib import Path

import pytest

from coldspan_lab.service import Moment, RuntimeClient
from coldspan_testing import trees
from coldspan_testing.runs import Run
from coldspan_testing.shapes import RunSource, Shape, exceptions, shapes

MS = 1_000_000
TIMEOUT_S = 3.0
"""Of functions that run out of it. What starts anew after that does so within the next invocation's time, and a busy
machine makes a second of it."""
BOTH = pytest.mark.parametrize("runtime", list(RuntimeClient), ids=lambda client: client.value)
"""awslambdaric under the wrapper, and the layer's own runtime: the same function, the same trace."""


def failed_start(error_type: str, load: str) -> list[list[Shape]]:
    """The first init, in a trace of its own, and the request whose init failed again."""
    return [
        [("init", "", error_type), ("load handler", "init", load)],
        [("function", "", error_type), ("init", "function", error_type), ("load handler", "init", load)],
    ]


@BOTH
@pytest.mark.parametrize(
    ("source", "error_type", "load", "raised"),
    [
        (
            "import no_such_module",
            "Runtime.ImportModuleError",
            "Runtime.ImportModuleError",
            "Runtime.ImportModuleError",
        ),
        ("def handler(:", "Runtime.UserCodeSyntaxError", "Runtime.UserCodeSyntaxError", "Runtime.UserCodeSyntaxError"),
        ("handlers = None", "Runtime.HandlerNotFound", "Runtime.HandlerNotFound", "Runtime.HandlerNotFound"),
        ("raise KeyError('region')", "KeyError", "KeyError", "KeyError"),
        ("import sys; sys.exit(5)", "Runtime.ExitError!", "Runtime.ExitError", "SystemExit"),
        ("import os; os._exit(5)", "Runtime.ExitError!", "Runtime.ExitError!", ""),
        ("import ctypes; ctypes.string_at(0)", "Runtime.ExitError!", "Runtime.ExitError!", ""),
        ("import os; os.kill(os.getpid(), 9)", "Runtime.ExitError!", "Runtime.ExitError!", ""),
    ],
)
def test_a_start_that_fails_is_traced_twice_as_lambda_tries_it(
    run_source: RunSource, runtime: RuntimeClient, source: str, error_type: str, load: str, raised: str
) -> None:
    run = run_source(source, runtime=runtime)
    answer = run.lab.invoke({})
    run.close()
    assert answer.function_error == "Unhandled"
    assert shapes(run) == failed_start(error_type, load)
    assert exceptions(run) == ([("init", raised)] * 2 if raised else [])
    (server,) = run.servers
    assert server.attributes["faas.invocation_id"] == answer.request_id
    assert server.attributes["faas.coldstart"] is True
    assert server.attributes["coldspan.init.phase"] == "invoke"
    first, second = [span for span in run.receiver.spans if span.span.name == "init"]
    assert [span.attributes["coldspan.init.phase"] for span in (first, second)] == ["init", "invoke"]
    assert first.resource["service.instance.id"] != second.resource["service.instance.id"]


COLD: list[Shape] = [
    ("function", "", ""),
    ("init", "function", ""),
    ("load handler", "init", ""),
    ("next", "function", ""),
    ("handler", "function", ""),
    ("response", "function", ""),
    ("after response", "function", ""),
]
PRELUDE = """
import ctypes, os, sys
def handler(event, context):
    if event: eval(event)
"""


@BOTH
@pytest.mark.parametrize(
    ("does", "error_type", "raised"),
    [
        ("sys.exit(3)", "Runtime.ExitError", ["SystemExit"]),
        ("os._exit(3)", "Runtime.ExitError!", []),
        ("ctypes.string_at(0)", "Runtime.ExitError!", []),
        ("os.kill(os.getpid(), 9)", "Runtime.ExitError!", []),
        ("[1 for _ in iter(int, 1)]", "timeout!", []),
    ],
)
def test_a_handler_whose_process_dies_ends_there_and_the_next_start_is_cold(
    run_source: RunSource, runtime: RuntimeClient, does: str, error_type: str, raised: list[str]
) -> None:
    run = run_source(PRELUDE, timeout_s=TIMEOUT_S, runtime=runtime)
    for event in (None, does, None):
        run.lab.invoke(event)
        run.lab.wait_frozen()
    run.close()
    cut = error_type.removesuffix("!") + "!"
    died: list[Shape] = [("function", "", cut), ("next", "function", ""), ("handler", "function", error_type)]
    assert shapes(run) == [COLD, died, COLD]
    assert exceptions(run) == [("handler", of_type) for of_type in raised]
    again = run.servers[2]
    assert again.attributes["coldspan.init.phase"] == "invoke"
    assert again.attributes["coldspan.invocation.sequence"] == 1


@BOTH
def test_a_response_that_is_too_large_is_an_error_of_the_response(
    run_source: RunSource, runtime: RuntimeClient
) -> None:
    run = run_source("def handler(event, context):\n    return 'x' * 6_300_000", runtime=runtime)
    assert b"Function.ResponseSizeTooLarge" in run.lab.invoke(1).payload
    run.close()
    too_large = "Function.ResponseSizeTooLarge"
    (trace,) = shapes(run)
    assert [shape for shape in trace if shape[0] in ("function", "handler", "response")] == [
        ("function", "", too_large),
        ("handler", "function", ""),
        ("response", "function", too_large),
    ]
    (server,) = run.servers
    assert server.attributes["coldspan.response.size"] == 6_300_002


@BOTH
def test_a_timed_out_invocation_ends_at_its_deadline(run_source: RunSource, runtime: RuntimeClient) -> None:
    run = run_source(f"{TELLS_ITS_DEADLINE}\n    while True: pass", timeout_s=1.0, runtime=runtime)
    run.lab.invoke(1)
    run.close()
    (server,) = run.servers
    handler = run.child(server, "handler").span
    assert [handler.end_time_unix_nano] == [server.span.end_time_unix_nano] == deadlines_ns(run)


TELLS_ITS_DEADLINE = """
def handler(event, context):
    print("deadline", context._epoch_deadline_time_in_ms, flush=True)"""


def deadlines_ns(run: Run) -> list[int]:
    told = [line.text.split() for line in run.lab.log if line.text.startswith("deadline ")]
    return [int(deadline_ms) * MS for _, deadline_ms in told]


ECHO = """
import time
def handler(event, context):
    time.sleep(event)
    return event
"""


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        ("runtime-killed", "Runtime.ExitError!"),
        ("out-of-memory", "Runtime.OutOfMemory!"),
        ("runtime-hangs", "timeout!"),
    ],
)
def test_a_runtime_that_is_killed_in_its_first_invocation(run_source: RunSource, fault: str, error_type: str) -> None:
    """A moment after it got the event: how far it came by then is up to the machine."""
    run = run_source(ECHO, timeout_s=TIMEOUT_S, faults=(fault,))
    for _ in range(2):
        run.lab.invoke(0.1)
        run.lab.wait_frozen()
    run.close()
    died, again = shapes(run)
    in_handler = [
        ("function", "", error_type),
        ("init", "function", ""),
        ("load handler", "init", ""),
        ("next", "function", ""),
        ("handler", "function", error_type),
    ]
    assert died == in_handler[: len(died)]
    assert len(died) >= 3
    assert again == COLD


HIT_WHILE_LOADING = """
import os, signal
if not os.path.exists("hit"):
    open("hit", "w").close()
    os.kill(os.getpid(), signal.{})
"""


def test_a_runtime_that_is_killed_while_it_loads(run_source: RunSource) -> None:
    run = run_source(HIT_WHILE_LOADING.format("SIGKILL") + ECHO)
    assert run.lab.invoke(0).payload == b"0"
    run.lab.wait_frozen()
    run.close()
    killed = "Runtime.ExitError!"
    assert shapes(run) == [[("init", "", killed), ("load handler", "init", killed)], COLD]


def test_an_init_that_runs_out_of_time_is_told_by_the_process_after_it(run_source: RunSource) -> None:
    """Lambda kills everything at once then: the runtime, and the extension that waits for it."""
    run = run_source(HIT_WHILE_LOADING.format("SIGSTOP") + ECHO, init_limit_s=2.5)
    assert run.lab.invoke(0).payload == b"0"
    run.lab.wait_frozen()
    run.close()
    assert shapes(run) == [[("init", "", "timeout!"), ("load handler", "init", "timeout!")], COLD]
    inits = [span for span in run.receiver.spans if span.span.name == "init"]
    init = min(inits, key=lambda span: span.span.start_time_unix_nano)
    begun_ns, done_ns = (
        next(unix_ns(each["time"]) for each in run.lab.events if each["type"] == f"platform.{kind}")
        for kind in ("initStart", "initRuntimeDone")
    )
    registered_ns = [mark.time_unix_ns for mark in run.lab.timeline if mark.what is Moment.EXTENSION_REGISTERED]
    assert begun_ns <= init.span.start_time_unix_nano < registered_ns[0]
    assert done_ns <= init.span.end_time_unix_nano < registered_ns[1]
    assert init.attributes["coldspan.init.phase"] == "init"
    assert run.servers[0].attributes["coldspan.init.phase"] == "invoke"


def test_an_init_that_takes_long_and_ends_leaves_nothing(run_source: RunSource) -> None:
    run = run_source(
        "import os, time; time.sleep(1.2)\n"
        "def handler(event, context): return os.path.exists(os.environ['COLDSPAN_CHANNEL'] + '.init')"
    )
    run.lab.invoke(0)  # while it runs, the file is being removed
    run.lab.wait_frozen()
    assert run.lab.invoke(0).payload == b"false"
    run.close()
    assert shapes(run)[0] == COLD
    assert len(shapes(run)) == 2


def test_a_response_that_lambda_refuses_is_the_end_of_its_process(run_source: RunSource) -> None:
    run = run_source(ECHO, faults=("response-refused",))
    for _ in range(2):
        run.lab.invoke(0)
        run.lab.wait_frozen()
    run.close()
    refused, again = shapes(run)
    assert [shape for shape in refused if shape[2]] == [
        ("function", "", "RuntimeError"),
        ("response", "function", "RuntimeError"),
    ]
    assert again == COLD


def reports_told(run: Run) -> set[tuple[object, object]]:
    """Request id and billed seconds of each `after response` that has the platform's report."""
    ids = {server.span.span_id: server.attributes["faas.invocation_id"] for server in run.servers}
    after = [span for span in run.receiver.spans if span.span.name == "after response"]
    billed = "coldspan.billed_duration"
    return {(ids[span.span.parent_span_id], span.attributes[billed]) for span in after if billed in span.attributes}


def unix_ns(time: str) -> int:
    """Of a telemetry event's time, 2026-11-24T08:19:52.633Z."""
    return round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000) * MS


def reports_of(run: Run) -> set[tuple[object, object]]:
    """The same of each report that the platform made."""
    reports = [each["record"] for each in run.lab.events if each["type"] == "platform.report"]
    return {(report["requestId"], report["metrics"]["billedDurationMs"] / 1000) for report in reports}


@pytest.mark.parametrize(
    "fault",
    ["telemetry-late", "telemetry-lost", "telemetry-duplicated", "telemetry-reordered", "telemetry-unsupported"],
)
def test_whatever_becomes_of_telemetry_each_invocation_is_one_trace_and_no_error(
    run_source: RunSource, fault: str
) -> None:
    run = run_source(ECHO, faults=(fault,))
    answers = []
    for _ in range(3):
        answers.append(run.lab.invoke(0.02))
        run.lab.wait_frozen()
    run.close()
    assert shapes(run) == [COLD, COLD[:1] + COLD[3:], COLD[:1] + COLD[3:]]
    assert [span.attributes["faas.invocation_id"] for span in run.servers] == [each.request_id for each in answers]
    assert reports_told(run) <= reports_of(run)
    if fault != "telemetry-late":  # of that, whatever the machine gave it time for
        assert len(reports_told(run)) == (3 if fault in ("telemetry-duplicated", "telemetry-reordered") else 0)


@pytest.mark.parametrize("fault", ["telemetry-late", "telemetry-lost", "telemetry-duplicated", "telemetry-reordered"])
@pytest.mark.parametrize("event", ["os._exit(3)", "sys.exit(3)"])
def test_whatever_becomes_of_telemetry_a_crash_is_one_truthful_trace(
    run_source: RunSource, fault: str, event: str
) -> None:
    run = run_source(PRELUDE, faults=(fault,))
    for does in (None, event, None):
        run.lab.invoke(does)
        run.lab.wait_frozen()
    run.close()
    handler = "Runtime.ExitError" + ("!" if event.startswith("os.") else "")
    died = [("function", "", "Runtime.ExitError!"), ("next", "function", ""), ("handler", "function", handler)]
    assert shapes(run) == [COLD, died, COLD]


@pytest.mark.parametrize("fault", ["telemetry-lost", "telemetry-late"])
def test_a_failed_start_without_telemetry_is_two_inits_of_no_known_request(run_source: RunSource, fault: str) -> None:
    """No extension gets an INVOKE for an init that failed inside an invocation."""
    run = run_source("import no_such_module", faults=(fault,))
    run.lab.invoke(0)
    run.close()
    failed = "Runtime.ImportModuleError"
    assert shapes(run) == [[("init", "", failed), ("load handler", "init", failed)]] * 2


HOLDS_ON = """
import os, threading, urllib.request
api = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2020-01-01/extension"
name = {"Lambda-Extension-Name": "holds-on"}
register = urllib.request.Request(f"{api}/register", b'{"events":["INVOKE","SHUTDOWN"]}', name)
identifier = urllib.request.urlopen(register).headers["Lambda-Extension-Identifier"]
event_next = urllib.request.Request(f"{api}/event/next", headers={"Lambda-Extension-Identifier": identifier})
urllib.request.urlopen(event_next)
threading.Event().wait()
"""


def test_an_extension_that_holds_on_makes_a_timeout_for_lambda_and_none_in_the_trace(
    run_source: RunSource, tmp_path: Path
) -> None:
    """Lambda says runtimeDone twice then: success, and at the deadline timeout. The caller has had its answer."""
    tree = Path(shutil.copytree(trees.layer_tree("3.11"), tmp_path / "tree"))
    other = tree / "extensions" / "holds-on"
    other.write_text(f"#!{sys.executable}\n{HOLDS_ON}")
    other.chmod(0o755)
    run = run_source(ECHO, layer=tree, timeout_s=TIMEOUT_S)
    answers = []
    for _ in range(2):
        answers.append(run.lab.invoke(0.1))
        run.lab.wait_frozen()
    run.close()
    assert done_of(run) == ["success", "timeout"] * 2
    assert shapes(run) == [COLD, COLD]
    assert [span.attributes["faas.invocation_id"] for span in run.servers] == [each.request_id for each in answers]
    out_ns = [mark.time_unix_ns for mark in run.lab.timeline if mark.what is Moment.RESPONSE_ACCEPTED]
    for server, accepted_ns in zip(run.servers, out_ns, strict=True):
        assert abs(server.span.end_time_unix_nano - accepted_ns) < 1e9  # and not at the deadline, 2.9 s later


def done_of(run: Run) -> list[str]:
    return [each["record"]["status"] for each in run.lab.events if each["type"] == "platform.runtimeDone"]


def test_what_is_pushed_of_an_environment_before_a_reset_is_nobodys_in_the_next(run_source: RunSource) -> None:
    """An extension that holds on itself is killed, and its trace with it. Its platform events come to its successor."""
    run = run_source(ECHO, timeout_s=TIMEOUT_S, faults=("extension-hangs",))
    first, second = (run.lab.invoke(0.1) for _ in range(2))
    run.lab.wait_frozen()
    run.close()
    assert done_of(run) == ["success", "timeout", "success"]
    assert [first.payload, second.payload] == [b"0.1", b"0.1"]
    assert shapes(run) == [COLD]
    (server,) = run.servers
    assert server.attributes["faas.invocation_id"] == second.request_id
    assert server.attributes["coldspan.init.phase"] == "invoke"
    assert len(reports_told(run)) == 1
    assert reports_told(run) <= reports_of(run)


def test_a_timeout_of_which_the_platform_tells_the_next_process_alone(run_source: RunSource) -> None:
    run = run_source(PRELUDE, timeout_s=TIMEOUT_S, faults=("telemetry-late",))
    answers = []
    for does in (None, "[1 for _ in iter(int, 1)]", None):
        answers.append(run.lab.invoke(does))
        run.lab.wait_frozen()
    run.close()
    died = [("function", "", "timeout!"), ("next", "function", ""), ("handler", "function", "timeout!")]
    assert shapes(run) == [COLD, died, COLD]
    assert [span.attributes["faas.invocation_id"] for span in run.servers] == [each.request_id for each in answers]
    assert reports_told(run) <= reports_of(run)


@BOTH
def test_a_handler_that_raises_is_an_error_though_the_platform_says_success(
    run_source: RunSource, runtime: RuntimeClient
) -> None:
    run = run_source(
        "class Broken(Exception): pass\ndef handler(event, context): raise Broken('no luck')", runtime=runtime
    )
    run.lab.invoke(1)
    run.lab.wait_frozen()
    run.close()
    broken = [(name, parent, "app.Broken" if name in ("function", "handler") else "") for name, parent, _ in COLD]
    assert shapes(run) == [broken]
    assert done_of(run) == ["success"]
    (event,) = run.child(run.servers[0], "handler").span.events
    told = {each.key: each.value.string_value for each in event.attributes}
    assert (event.name, told["exception.type"], told["exception.message"]) == ("exception", "app.Broken", "no luck")
    stack = told["exception.stacktrace"].splitlines()
    assert (stack[0], stack[-1]) == ("Traceback (most recent call last):", "app.Broken: no luck")
    assert any(line.endswith('/app.py", line 2, in handler') for line in stack)


@pytest.mark.parametrize("missing", ["wrapper", "records"])
def test_without_the_wrappers_word_the_platforms_makes_the_trace(
    run_source: RunSource, tmp_path: Path, missing: str
) -> None:
    tree = Path(shutil.copytree(trees.layer_tree("3.11"), tmp_path / "tree"))
    channel = {"COLDSPAN_CHANNEL": str(tmp_path / "no" / "such" / "folder")} if missing == "records" else {}
    if missing == "wrapper":
        (tree / "coldspan-exec").unlink()
    source = f"import sys\n{TELLS_ITS_DEADLINE}\n    if event: eval(event)"
    run = run_source(source, layer=tree, timeout_s=TIMEOUT_S, **channel)
    answers = []
    for does in (None, None, "sys.exit(3)", None, "[1 for _ in iter(int, 1)]", None):
        answers.append(run.lab.invoke(does))
        run.lab.wait_frozen()
    run.close()
    cold: list[Shape] = [("function", "", ""), ("init", "function", "")]
    assert shapes(run) == [
        cold,
        [("function", "", "")],
        [("function", "", "Runtime.ExitError")],
        cold,
        [("function", "", "timeout")],
        cold,
    ]
    assert [span.attributes["faas.invocation_id"] for span in run.servers] == [each.request_id for each in answers]
    done_ns = [unix_ns(each["time"]) for each in run.lab.events if each["type"] == "platform.runtimeDone"]
    assert [server.span.end_time_unix_nano for server in run.servers] == [
        *map(min, zip(done_ns, deadlines_ns(run), strict=True))
    ]
