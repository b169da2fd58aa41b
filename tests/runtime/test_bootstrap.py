"""The ways to start the runtime, and what a function sees of them."""

import json
import os
import sys
from pathlib import Path

import pytest

from coldspan_testing import interpreters, trees
from coldspan_testing.cache import CHECKOUT
from coldspan_testing.runtime_api import Outcome, RuntimeApiServer, event, run
from coldspan_wrapper import records

PYTHON = "3.12"
FUNCTION = """
import os, sys
def handler(event, context):
    ours = sorted(name for name in sys.modules if name.startswith("coldspan"))
    answer = {"path": sys.path, "bytecode": sys.dont_write_bytecode, "shared": SHARED, "ours": ours}
    return {**answer, "modules": list(sys.modules)}
from shared import SHARED
"""


@pytest.fixture
def function(tmp_path: Path) -> Path:
    folder = tmp_path / "function"
    folder.mkdir()
    (folder / "app.py").write_text(FUNCTION)
    (folder / "shared.py").write_text("SHARED = 'of the function'")
    return folder


HEAVY = {
    "asyncio",
    "decimal",
    "email",
    "http",
    "inspect",
    "json",
    "select",
    "selectors",
    "socket",
    "ssl",
    "struct",
    "typing",
}
"""What would cost the cold start milliseconds, and no function needs that does not import it itself."""


def started(command: list[str | Path], function: Path, **environment: str) -> Outcome:
    pipe = str(function / "pipe")
    with RuntimeApiServer([event()]) as server:
        path = interpreters.search_path(PYTHON)
        return run(
            command, server, function=function, environment={"PATH": path, "COLDSPAN_CHANNEL": pipe, **environment}
        )


def answer(outcome: Outcome) -> dict[str, object]:
    assert outcome.posts, (outcome.stdout, outcome.stderr)
    (post,) = outcome.posts
    found: dict[str, object] = json.loads(post.body)
    assert post.last == "response", found
    return found


def test_the_layers_entry_point_takes_the_handler_from_its_argument_or_from_the_environment(function: Path) -> None:
    bootstrap = trees.layer_tree(PYTHON) / "coldspan-bootstrap"
    assert answer(started([bootstrap, "app.handler"], function))["shared"] == "of the function"
    assert answer(started([bootstrap], function, _HANDLER="app.handler"))["shared"] == "of the function"


def test_a_link_named_bootstrap_will_do(function: Path) -> None:
    link = function / "bootstrap"
    link.symlink_to(trees.layer_tree(PYTHON) / "coldspan-bootstrap")
    assert answer(started([link], function, _HANDLER="app.handler"))["shared"] == "of the function"


def test_an_installed_coldspan_runs_as_a_module(function: Path) -> None:
    found = answer(started([sys.executable, "-m", "coldspan_wrapper.runtime", "app.handler"], function))
    assert found["shared"] == "of the function"


def test_the_function_comes_first_on_the_path_and_nothing_of_ours_stays_there(function: Path) -> None:
    found = answer(started([trees.layer_tree(PYTHON) / "coldspan-bootstrap", "app.handler"], function))
    path = found["path"]
    assert isinstance(path, list)
    assert path[0] == str(function)
    assert not [entry for entry in path if "coldspan" in entry.removeprefix(str(function))]
    assert path[1].endswith("/site-packages")  # before the standard library, as in the managed runtime
    assert found["bytecode"] is False


def test_who_sets_pythonpath_decides_on_all_but_the_function(function: Path, tmp_path: Path) -> None:
    bootstrap = trees.layer_tree(PYTHON) / "coldspan-bootstrap"
    path = answer(started([bootstrap, "app.handler"], function, PYTHONPATH=str(tmp_path)))["path"]
    assert isinstance(path, list)
    assert path[:2] == [str(function), str(tmp_path)]
    assert path[-1].endswith("/site-packages")


@pytest.mark.parametrize("python", interpreters.VERSIONS)
def test_nothing_heavy_is_loaded_before_the_function_asks_for_it(function: Path, python: str) -> None:
    main = CHECKOUT / "wrapper" / "coldspan_wrapper" / "runtime" / "__main__.py"
    modules = answer(started([interpreters.executable(python), main, "app.handler"], function))["modules"]
    assert isinstance(modules, list)
    assert HEAVY & set(modules) == set()
    assert "coldspan_wrapper.runtime.stream" not in modules


def test_switched_off_it_loads_no_observer_and_writes_nothing(function: Path) -> None:
    bootstrap = trees.layer_tree(PYTHON) / "coldspan-bootstrap"
    found = answer(started([bootstrap, "app.handler"], function, OTEL_SDK_DISABLED="true"))
    assert "coldspan_wrapper.imports" not in str(found["ours"])
    assert not (function / "pipe").exists()


def test_what_is_missing_is_named(function: Path) -> None:
    bootstrap = trees.layer_tree(PYTHON) / "coldspan-bootstrap"
    nameless = started([bootstrap], function)
    assert (nameless.status, nameless.stderr.count("no handler")) == (1, 1)
    homeless = started([bootstrap, "app.handler"], function, AWS_LAMBDA_RUNTIME_API="")
    assert (homeless.status, homeless.stderr.count("AWS_LAMBDA_RUNTIME_API")) == (1, 1)


def test_an_invocation_is_recorded_from_the_first_line_on(function: Path) -> None:
    pipe = function / "pipe"
    reader, bootstrap = records.open_channel(str(pipe)), trees.layer_tree(PYTHON) / "coldspan-bootstrap"
    try:
        answer(started([bootstrap, "app.handler"], function, COLDSPAN_IMPORTS="off"))
        found = records.Decoder().feed(os.read(reader, 65536))
    finally:
        os.close(reader)
    assert [records.NAMES[record.kind] for record in found] == [
        "hello",
        "client",
        "load begin",
        "load end",
        "next begin",
        "next end",
        "handler begin",
        "handler end",
        "response begin",
        "response end",
        "next begin",
    ]
    assert (found[1].text("name"), found[1].text("problem")) == ("coldspan", "")
    assert [record.monotonic_ns for record in found] == sorted(record.monotonic_ns for record in found)
