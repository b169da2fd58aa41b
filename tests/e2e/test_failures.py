"""Every failure leaves a whole, true trace: real functions that fail by themselves, and the faults of the lab."""

from pathlib import Path

import pytest

from coldspan_testing.otlp_receiver import SpanReceived
from coldspan_testing.runs import Run, StartRun

Shape = tuple[str, str, str]  # span, its parent, error.type; `!` after it where the span was cut off


def shapes(run: Run) -> list[list[Shape]]:
    """Each trace in order of its begin, its spans too. Without our own parts of init, which do not fail."""
    spans = sorted(run.receiver.spans, key=lambda span: (span.span.start_time_unix_nano, -span.span.end_time_unix_nano))
    names = {span.span.span_id: span.span.name for span in spans}
    assert len(names) == len(spans)
    traces: dict[bytes, list[Shape]] = {}
    for span in spans:
        shape = (span.span.name, names.get(span.span.parent_span_id, ""), mark(span))
        if span.span.name not in ("extension init", "runtime boot") and not span.span.name.startswith("import "):
            traces.setdefault(span.span.trace_id, []).append(shape)
    return list(traces.values())


def mark(span: SpanReceived) -> str:
    assert (span.span.status.code == 2) == ("error.type" in span.attributes)
    return str(span.attributes.get("error.type", "")) + ("!" if span.attributes.get("coldspan.truncated") else "")


def exceptions(run: Run) -> list[tuple[str, str]]:
    """Span and exception type of each exception event, in order of time."""
    found = []
    for span in run.receiver.spans:
        for event in span.span.events:
            (of_type,) = [a.value.string_value for a in event.attributes if a.key == "exception.type"]
            found.append((event.time_unix_nano, span.span.name, of_type))
    return [(name, of_type) for _, name, of_type in sorted(found)]


@pytest.fixture
def run_source(tmp_path: Path, start_run: StartRun) -> StartRun:
    """run_source(source, **as start_run): a function of that source in app.py."""

    def start(source: str, timeout_s: float = 10.0, **more: str) -> Run:
        (tmp_path / "app.py").write_text(source)
        return start_run(tmp_path, timeout_s=timeout_s, **more)

    return start


def failed_start(error_type: str, load: str, *, load_parent: str = "init") -> list[list[Shape]]:
    """The first init, in a trace of its own, and the request whose init failed again."""
    return [
        [("init", "", error_type), ("load handler", load_parent, load)],
        [("function", "", error_type), ("init", "function", error_type), ("load handler", load_parent, load)],
    ]


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
    run_source: StartRun, source: str, error_type: str, load: str, raised: str
) -> None:
    run = run_source(source)
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
    run_source: StartRun, does: str, error_type: str, raised: list[str]
) -> None:
    run = run_source(PRELUDE, timeout_s=1.0)
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


def test_a_response_that_is_too_large_is_an_error_of_the_response(run_source: StartRun) -> None:
    run = run_source("def handler(event, context):\n    return 'x' * 6_300_000")
    assert b"Function.ResponseSizeTooLarge" in run.lab.invoke(1).payload
    run.close()
    too_large = "Function.ResponseSizeTooLarge"
    ((server, *_),) = shapes(run)
    assert server == ("function", "", too_large)
    (span,) = run.servers
    assert [mark(child) for child in run.children(span) if child.span.name in ("handler", "response")] == [
        "",
        too_large,
    ]
    assert int(str(span.attributes["coldspan.response.size"])) == 6_300_002


def test_a_timed_out_invocation_ends_at_its_deadline(run_source: StartRun) -> None:
    run = run_source("def handler(event, context):\n    while True: pass", timeout_s=1.0)
    run.lab.invoke(1)
    run.close()
    (server,) = run.servers
    handler = run.child(server, "handler").span
    assert handler.end_time_unix_nano == server.span.end_time_unix_nano
    (start,) = [event for event in run.lab.events if event["type"] == "platform.start"]
    assert start["record"]["requestId"] == server.attributes["faas.invocation_id"]
    assert abs(run.child(server, "next").span.end_time_unix_nano + 1e9 - handler.end_time_unix_nano) < 0.1e9
