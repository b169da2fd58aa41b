"""Which runtime client runs the function, and with what command."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coldspan_lab.errors import LabError
from coldspan_lab.interpreter import Interpreter, choose_client
from coldspan_lab.model import Function, RuntimeClient
from coldspan_lab.sandbox import Sandbox, runtime_command, runtime_environment

if TYPE_CHECKING:
    from tests.lab.conftest import StartLab

OURS, THEIRS = RuntimeClient.COLDSPAN, RuntimeClient.AWSLAMBDARIC
PYTHON = Path("/python")
ECHOES = """
while True:
    request_id, headers, body = next_invocation()
    respond(request_id, json.dumps({"argv": sys.argv[1:], "environment": sorted(os.environ)}))
"""


def interpreter(*clients: RuntimeClient) -> Interpreter:
    return Interpreter(PYTHON, "3.13", frozenset(clients))


@pytest.mark.parametrize(
    ("wanted", "clients", "in_layer", "chosen"),
    [
        (None, [THEIRS, OURS], False, THEIRS),
        (None, [THEIRS], True, THEIRS),
        (None, [OURS], False, OURS),
        (None, [], True, OURS),
        (THEIRS, [THEIRS], True, THEIRS),
        (OURS, [THEIRS, OURS], False, OURS),
        (OURS, [THEIRS], True, OURS),
    ],
)
def test_awslambdaric_is_taken_where_it_is_and_nothing_else_is_wanted(
    tmp_path: Path, wanted: RuntimeClient | None, clients: list[RuntimeClient], in_layer: bool, chosen: RuntimeClient
) -> None:
    (tmp_path / "coldspan-bootstrap").touch()
    assert choose_client(wanted, interpreter(*clients), tmp_path if in_layer else None) is chosen


@pytest.mark.parametrize(
    ("wanted", "clients", "with_layer", "message"),
    [
        (None, [], False, "/python: awslambdaric, Lambda's runtime client, is not installed there. Install it: "),
        (THEIRS, [OURS], False, "/python: awslambdaric, Lambda's runtime client, is not installed there"),
        (OURS, [THEIRS], False, "/python: coldspan, its own runtime, is not installed there"),
        (OURS, [OURS], True, "/: has no coldspan-bootstrap, which is to run the function"),
        (None, [OURS], True, "/python: awslambdaric, Lambda's runtime client, is not installed there"),
    ],
)
def test_one_that_is_missing_is_named(
    wanted: RuntimeClient | None, clients: list[RuntimeClient], with_layer: bool, message: str
) -> None:
    with pytest.raises(LabError) as raised:
        choose_client(wanted, interpreter(*clients), Path("/") if with_layer else None)
    assert str(raised.value).startswith(message)


def test_without_a_layer_the_installed_runtime_runs_the_handler(tmp_path: Path) -> None:
    function = Function(tmp_path, "orders.handler", runtime=OURS)
    sandbox = Sandbox(function, interpreter(OURS), None, "a:1", "token", "stream", tmp_path / "channel", "b:2")
    assert runtime_command(sandbox) == ["/python", "-m", "coldspan_wrapper.runtime", "orders.handler"]
    assert "AWS_EXECUTION_ENV" not in runtime_environment(sandbox)


def test_the_layers_bootstrap_gets_the_handler_and_no_wrapper(start_lab: "StartLab", tmp_path: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "coldspan-exec").touch()
    said = json.loads(start_lab(bootstrap=ECHOES, handler="orders.handler").invoke().payload)
    assert said["argv"] == ["orders.handler"]
    assert not {"AWS_LAMBDA_EXEC_WRAPPER", "AWS_EXECUTION_ENV"} & set(said["environment"])
