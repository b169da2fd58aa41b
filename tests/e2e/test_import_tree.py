"""The import tree of real cold starts, whole or as far as the process came."""

import shutil
from pathlib import Path

import pytest

from coldspan_testing.otlp_receiver import SpanReceived
from coldspan_testing.runs import FUNCTIONS, Run, StartRun

MS = 1_000_000


def served(start_run: StartRun, function: str | Path = "imports", **environment: str) -> Run:
    run = start_run(function, **environment)
    assert run.lab.invoke({}).payload == b'"lazy"'
    run.lab.wait_frozen()
    assert run.lab.invoke({}).payload == b'"lazy"'
    run.close()
    return run


def below(run: Run, *path: str) -> SpanReceived:
    """The span at that path below the cold SERVER span."""
    span = run.servers[0]
    for name in path:
        span = run.child(span, name)
    return span


def milliseconds(span: SpanReceived) -> float:
    return (span.span.end_time_unix_nano - span.span.start_time_unix_nano) / MS


def test_a_cold_start_shows_what_it_imported_and_what_it_did_beside(start_run: StartRun) -> None:
    run = served(start_run)
    load = below(run, "init", "load handler")
    app = run.child(load, "import app")
    slow = run.child(app, "import pack.slow")
    assert milliseconds(slow) >= 30
    assert milliseconds(app) >= milliseconds(slow) + 60  # its own work
    assert slow.attributes["coldspan.import.source"] == "function"
    assert str(slow.attributes["code.file.path"]).endswith("/imports/app.py")
    assert slow.attributes["code.line.number"] == 5
    bodies = [event for event in app.span.events if event.name == "module body"]
    lines = {a.value.int_value for event in bodies for a in event.attributes if a.key == "code.line.number"}
    assert 19 in lines  # work(0.06)
    for parent in (load, app, slow):
        children = sum(milliseconds(child) for child in run.children(parent))
        assert float(str(parent.attributes["coldspan.self_time"])) * 1e3 == pytest.approx(
            milliseconds(parent) - children, abs=1e-6
        )


def test_what_a_handler_imports_is_below_it_in_the_first_invocation_alone(start_run: StartRun) -> None:
    run = served(start_run)
    cold, warm = run.servers
    lazy = run.child(run.child(cold, "handler"), "import pack.lazy")
    assert milliseconds(lazy) >= 20
    assert run.children(run.child(warm, "handler")) == []


def test_missing_bytecode_is_said_and_present_bytecode_is_not(start_run: StartRun, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(FUNCTIONS / "imports", tmp_path / "fn", ignore=shutil.ignore_patterns("__pycache__")))
    big = "\n".join(f"def f{n}(a, b=1, *c):\n    return [a, b, c, {n}]\n" for n in range(600))
    (copy / "pack" / "helper.py").write_text(big)
    first = served(start_run, copy)
    (event,) = [event for event in below(first, "init", "load handler").span.events if event.name == "missing bytecode"]
    words = next(a.value.string_value for a in event.attributes if a.key == "coldspan.advice")
    assert words.endswith(": ship .pyc")
    again = served(start_run, copy)  # Python wrote it meanwhile: the folder is writable here
    assert not [event for event in below(again, "init", "load handler").span.events if event.name == "missing bytecode"]


def test_all_imports_are_spans_when_all_are_asked_for(start_run: StartRun) -> None:
    run = served(start_run, COLDSPAN_IMPORTS="all")
    names = {span.span.name for span in run.receiver.spans}
    assert {"import pack", "import pack.helper", "import not_installed"} <= names
    assert "other imports" not in names
    missing = below(run, "init", "load handler", "import app", "import not_installed")
    assert str(missing.attributes["coldspan.import.error"]).startswith("ModuleNotFoundError")
    assert missing.span.status.code == 0  # it was caught


def test_an_import_that_raised_and_was_caught_is_named_in_the_sum(start_run: StartRun) -> None:
    run = served(start_run, COLDSPAN_IMPORTS_THRESHOLD="60000")  # on a busy machine it may take the usual 5 ms
    others = below(run, "init", "load handler", "import app", "other imports")
    assert others.attributes["coldspan.import.errors"] == [
        "not_installed: ModuleNotFoundError: No module named 'not_installed'"
    ]


def test_a_user_of_importtime_has_the_table_as_without_us_and_the_tree_as_well(start_run: StartRun) -> None:
    run = served(start_run, PYTHONPROFILEIMPORTTIME="1")
    assert imported(run) == imported(served(start_run, PYTHONPROFILEIMPORTTIME="1", OTEL_SDK_DISABLED="true"))
    assert {"pack.slow", "pack.lazy"} <= set(imported(run))  # not app: no statement imports it
    assert below(run, "init", "load handler", "import app", "import pack.slow")


def imported(run: Run) -> list[str]:
    """The modules of `python -X importtime`'s table in the function's log, sorted: ours, which are not among them,
    want some of the runtime's earlier."""
    rows = [line.text for line in run.lab.log if line.source == "function" and line.text.startswith("import time:")]
    modules = [row.rpartition("|")[2].strip() for row in rows]
    return sorted(module for module in modules if not module.startswith("coldspan_wrapper"))


def test_switched_off_nothing_is_observed_of_imports(start_run: StartRun) -> None:
    run = served(start_run, COLDSPAN_IMPORTS="off")
    assert not [span for span in run.receiver.spans if span.span.name.startswith("import ")]
    assert run.children(below(run, "init", "load handler")) == []


def test_an_init_that_dies_leaves_the_import_that_was_running(start_run: StartRun) -> None:
    run = start_run("dies_importing")
    assert run.lab.invoke({}).function_error == "Unhandled"
    run.close()
    running = [span for span in run.receiver.spans if span.span.name == "import fatal"]
    assert running
    for span in running:
        assert span.attributes["coldspan.truncated"] is True
        assert milliseconds(span) >= 40
