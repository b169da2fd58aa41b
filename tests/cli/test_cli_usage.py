"""Bad usage: exit status 2, and a last line that names the option and what was expected."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coldspan_lab import arguments
from coldspan_lab.faults import FAULTS
from coldspan_lab.model import InitType
from coldspan_wrapper import __version__

Coldspan = Callable[..., "subprocess.CompletedProcess[str]"]
MakeFunction = Callable[..., Path]

RUN = [
    (["--env", "NAME"], "argument --env: NAME: expected NAME=VALUE"),
    (["--env", "A B=1"], "argument --env: A B=1: expected NAME=VALUE"),
    (["--fault", "restore-timeout"], "argument --fault: restore-timeout: nothing is restored but with --init-type"),
    (["--event", "{x"], "argument --event: {x: there is no such file, and it is not JSON"),
    (["--event", "/"], "argument --event: /: cannot be read: Is a directory"),
    (["--event", __file__], f"argument --event: {__file__}: the file's content is not JSON"),
    (["--handler", "app"], "argument --handler: app: expected MODULE.FUNCTION"),
    (["--handler", "nix.handler"], "argument --handler: nix.handler: there is no module nix in"),
    (["--handler", "app.sub.handler"], "argument --handler: app.sub.handler: there is no module app.sub in"),
    (["-n", "0"], "argument -n: 0: expected a number of invocations"),
    (["-n", "many"], "argument -n: many: expected a number of invocations"),
    (["--memory", "127"], "argument --memory: 127: expected a whole number of MB from 128 to 10240"),
    (["--memory", "512MB"], "argument --memory: 512MB: expected a whole number of MB from 128 to 10240"),
    (["--timeout", "901"], "argument --timeout: 901: expected seconds from 0.001 to 900"),
    (["--otlp", "localhost:4318"], "argument --otlp: localhost:4318: expected a URL such as http://localhost:4318"),
    (["--otlp", "http://h:99999"], "argument --otlp: http://h:99999: expected a URL"),
    (["--layer", "/nowhere"], "argument --layer: /nowhere: expected a folder"),
    (["--python", "/nowhere"], "argument --python: /nowhere: cannot be run: No such file or directory"),
    (["--python", "/bin/true"], "argument --python: /bin/true: expected a Python 3"),
    (["--init-type", "lazy"], "argument --init-type: lazy: expected one of on-demand, proactive, provisioned-conc"),
    (["--html", "/"], "argument --html: /: is a folder; expected the file to write"),
    (["--html", "/nowhere/page.html"], "argument --html: /nowhere/page.html: there is no folder /nowhere; expected"),
    (["--export", "svg=x"], "argument --export: svg=x: expected FORMAT=FILE, FORMAT one of perfetto, speedscope"),
    (["--export", "perfetto"], "argument --export: perfetto: expected FORMAT=FILE"),
    (["--fault", "tired"], "argument --fault: tired: expected one of init-timeout, runtime-killed-in-init, "),
]

OTHERS = [
    ([], "the following arguments are required: COMMAND"),
    (["frobnicate"], "invalid choice: 'frobnicate'"),
    (["run"], "the following arguments are required: PATH"),
    (["run", "/nowhere"], "argument PATH: /nowhere: does not exist; expected the folder"),
    (["run", __file__], f"argument PATH: {__file__}: is a file; expected the folder"),
    (["layer", "build"], "the following arguments are required: --output"),
    (["layer", "build", "--output", "layer.tar"], "--output layer.tar: expected a name that ends in .zip"),
    (["layer", "build", "--output", "l.zip", "--arch", "mips"], "argument --arch: invalid choice: 'mips'"),
    (
        ["layer", "build", "--output", "l", "--lean-only", "--with-grpc"],
        "argument --with-grpc: not allowed with argument",
    ),
    (["layer", "build", "--output", "l.zip", "--python", "2.7"], "--python 2.7: expected 3.10 or a later one"),
]


def assert_refused(done: "subprocess.CompletedProcess[str]", message: str) -> None:
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(("options", "message"), RUN)
def test_run_refuses(coldspan: Coldspan, function: MakeFunction, options: list[str], message: str) -> None:
    assert_refused(coldspan("run", *options, function()), message)


@pytest.mark.parametrize(("command", "message"), OTHERS)
def test_coldspan_refuses(coldspan: Coldspan, command: list[str], message: str) -> None:
    assert_refused(coldspan(*command), message)


def test_the_help_of_run_lists_every_fault_and_every_init_type(coldspan: Coldspan) -> None:
    words = coldspan("run", "--help", COLUMNS="100000").stdout.replace(",", " ").split()
    assert {*FAULTS, *(each.value for each in InitType)} <= set(words)


def test_version_is_the_distributions(coldspan: Coldspan) -> None:
    assert coldspan("--version").stdout == f"coldspan {__version__}\n"


@pytest.mark.parametrize("missing", ["rich", "h11", "jinja2"])
def test_without_the_labs_packages_run_says_how_to_get_them(
    environ: dict[str, str], function: MakeFunction, missing: str
) -> None:
    done = run_without([missing], ["run", str(function())], environ)
    assert_refused(done, f"{missing} is not installed; it comes with: pip install 'coldspan[lab]'")


def test_the_layer_is_built_without_any_extra(environ: dict[str, str], tmp_path: Path) -> None:
    extras = ["awslambdaric", "boto3", "h11", "rich"]
    done = run_without(extras, ["layer", "build", "--output", str(tmp_path / "tree")], environ)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tree" / "extensions" / "coldspan").is_file()


def test_a_lean_only_layer_needs_none_of_its_dependencies_and_says_its_sizes(
    environ: dict[str, str], tmp_path: Path
) -> None:
    dependencies = ["google", "opentelemetry", "requests", "structlog", "urllib3"]
    command = ["layer", "build", "--lean-only", "--output", str(tmp_path / "layer.zip")]
    done = run_without(dependencies, command, environ)
    assert done.returncode == 0, done.stderr
    sizes = [line.split() for line in done.stderr.splitlines() if line.endswith(" zipped")]
    assert [size[0] for size in sizes] == ["wrapper", "extension", "certificates", "entry", "total"]


def run_without(packages: list[str], command: list[str], environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """The command in a Python where these cannot be imported: None in sys.modules says so to the import system."""
    code = f"import sys; sys.modules.update(dict.fromkeys({packages})); from coldspan_lab.cli import main; "
    code += f"sys.exit(main({command}))"
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=300)


def test_a_handler_may_be_in_a_package_named_with_dots_or_slashes(tmp_path: Path) -> None:
    (tmp_path / "src" / "orders").mkdir(parents=True)
    (tmp_path / "src" / "orders" / "app.py").touch()
    for handler in ("src.orders.app.handler", "src/orders/app.handler"):
        assert arguments.handler_problem(handler, tmp_path) is None


def test_a_function_is_named_after_its_folder_in_lambdas_letters(tmp_path: Path) -> None:
    assert arguments.function_name(tmp_path / "my orders.v2") == "my-orders-v2"
    assert arguments.function_name(Path("/")) == "function"
