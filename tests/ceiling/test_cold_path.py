"""A heavy import that creeps into the cold path fails here: by the names of what is imported, and by instructions.

Lambda starts the runtime when the extension has registered, and ends init when it has asked for its first event; the
wrapper shares the function's process. What each may import is listed, and a longer list has to be measured first
(`make bench`): json costs 13 ms, dataclasses 10, socket 12 (docs/performance.md).
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldspan_lab.service import Function, Lab
from coldspan_testing import interpreters, trees
from coldspan_testing.http_peer import OK, HttpPeer
from coldspan_testing.ports import free_port
from coldspan_testing.runs import FUNCTIONS, StartRun

SPY = Path(__file__).with_name("spy.py")
VERSION = "{}.{}".format(*sys.version_info)
EXTENSION, WRAPPER = "coldspan/extension/coldspan_extension", "coldspan/wrapper/coldspan_wrapper"
REGISTERED_BY = {"bash": "/bin/bash", "Python": "/nonexistent/bash"}
"""What the start script looks for, by who then registers."""

BUILT_IN = {"_json", "_socket", "gc", "select"}
"""Modules in C. os is not among what may be imported: posix, which is there anyway, has what it needs."""
AT_REGISTER = {
    *BUILT_IN,
    *(f"coldspan_extension.{name}" for name in ("api", "boot", "http1", "json1", "poller", "telemetry", "tree")),
    "coldspan_extension",
    *(f"coldspan_wrapper{name}" for name in ("", ".records")),
}
AT_NEXT = AT_REGISTER
ADDED_BY_WRAPPER: set[str] = set()
"""Beside its own modules."""

INSTRUCTIONS_CEILING = 0.13
"""Of what the extension executes up to registering, beyond the interpreter's own start, in parts of that start. With os
it would be 0.35."""
LIFE_CEILING = 0.8
"""The same up to its end, with one export. Before there was the bundle it was 1.08."""


def copied(version: str, folder: Path) -> Path:
    """A layer that a test may change, but for the dependencies, which are large and only linked."""
    original, copy = trees.layer_tree(version), folder / "layer"
    shutil.copytree(original, copy, ignore=shutil.ignore_patterns("vendor"))
    (copy / "coldspan" / "vendor").symlink_to(original / "coldspan" / "vendor")
    return copy


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    return copied(VERSION, tmp_path)


def spied(layer: Path, registered_by: str = "Python") -> Path:
    start = layer / EXTENSION / "start.py"
    start.rename(f"{start}.original")
    shutil.copyfile(SPY, start)
    script = layer / "extensions" / "coldspan"
    text = script.read_text()
    assert "/bin/bash" in text
    script.write_text(text.replace("/bin/bash", REGISTERED_BY[registered_by]))
    return layer


def with_import(layer: Path, module: str, line: str) -> None:
    """Adds an import to a module of the layer, and removes its bytecode, which is not checked against the source."""
    source = layer / module
    source.write_text(f"{source.read_text()}\n{line}\n")
    shutil.rmtree(source.parent / "__pycache__")


def modules_at(start_run: StartRun, layer: Path, version: str = VERSION) -> dict[str, set[str]]:
    """By the request that the extension was about to send for the first time."""
    run = start_run(python=version, layer=layer)
    run.lab.invoke({})
    run.close()
    said = [re.fullmatch(r"modules at (\w+): (.*)", line.text) for line in run.lab.log if line.source == "extension"]
    found = [(match[1], set(match[2].split())) for match in said if match]
    return dict(reversed(found))


def modules_of_the_function(layer: Path | None, version: str = VERSION) -> set[str]:
    with Lab(Function(FUNCTIONS / "modules", python=interpreters.runtime(version)), layer=layer) as lab:
        return set(json.loads(lab.invoke({}).payload))


@pytest.mark.parametrize("version", interpreters.VERSIONS)
@pytest.mark.parametrize("registered_by", REGISTERED_BY)
def test_extension_imports_no_more_than_listed_before_its_first_next(
    start_run: StartRun, tmp_path: Path, version: str, registered_by: str
) -> None:
    found = modules_at(start_run, spied(copied(version, tmp_path), registered_by), version)
    assert set(found) == ({"register", "next"} if registered_by == "Python" else {"next"})
    assert found.get("register", set()) - AT_REGISTER == set()
    assert found["next"] - AT_NEXT == set()


def test_an_import_of_json_before_register_is_seen(start_run: StartRun, layer: Path) -> None:
    with_import(layer, f"{EXTENSION}/api.py", "import json")
    found = modules_at(start_run, spied(layer))
    assert {"json", "json.decoder", "re"} <= found["register"] - AT_REGISTER


def test_an_import_between_register_and_next_is_seen(start_run: StartRun, layer: Path) -> None:
    boot = layer / EXTENSION / "boot.py"
    with_import(layer, f"{EXTENSION}/boot.py", "")
    boot.write_text(
        boot.read_text().replace("        _prepare(boot)\n", "        import json\n        _prepare(boot)\n")
    )
    found = modules_at(start_run, spied(layer))
    assert "json" not in found["register"]
    assert "json" in found["next"] - AT_NEXT


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_wrapper_adds_no_more_than_listed_to_the_functions_process(version: str) -> None:
    added = modules_of_the_function(trees.layer_tree(version), version) - modules_of_the_function(None, version)
    assert {name for name in added if name.split(".")[0] != "coldspan_wrapper"} - ADDED_BY_WRAPPER == set()


def test_an_import_of_dataclasses_in_the_wrapper_is_seen(layer: Path) -> None:
    with_import(layer, f"{WRAPPER}/launch.py", "import dataclasses")
    added = modules_of_the_function(layer) - modules_of_the_function(None)
    assert {"dataclasses", "inspect"} <= added - ADDED_BY_WRAPPER


@pytest.fixture
def valgrind() -> list[str]:
    if shutil.which("valgrind") is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set, and there is no valgrind; .ci/run installs it")
        pytest.skip("no valgrind, which counts instructions: apt-get install valgrind")
    return ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]


@pytest.fixture
def api() -> Iterator[socket.socket]:
    """Where an extension may register; nobody answers it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        yield listening


def instructions(said: str) -> int:
    found = re.search(r"I\s+refs:\s+([\d,]+)", said)
    assert found, said
    return int(found[1].replace(",", ""))


@pytest.fixture
def interpreters_start(valgrind: list[str]) -> int:
    """Instructions of one machine and one Python, so that only a ratio to them means something; from run to run it
    differs by less than 1 %."""
    python = str(interpreters.executable(VERSION))
    command = [*valgrind, python, "-ISBc", "pass"]
    done = subprocess.run(command, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    return instructions(done.stderr)


def extension(valgrind: list[str]) -> list[str]:
    """As the start script starts it, where there is no bash to register."""
    python = str(interpreters.executable(VERSION))
    return [*valgrind, python, "-ISB", str(trees.layer_tree(VERSION) / EXTENSION / "start.py")]


def test_registering_executes_few_instructions_beyond_the_interpreters_start(
    valgrind: list[str], interpreters_start: int, api: socket.socket
) -> None:
    environment = {"AWS_LAMBDA_RUNTIME_API": "{}:{}".format(*api.getsockname()), "PYTHONHASHSEED": "0"}
    with subprocess.Popen(extension(valgrind), env=environment, stderr=subprocess.PIPE, text=True) as process:
        connection, _ = api.accept()
        with connection:
            request = connection.recv(65536)
            process.terminate()
            said = process.communicate()[1]
    assert request.startswith(b"POST /2020-01-01/extension/register ")
    assert (instructions(said) - interpreters_start) / interpreters_start < INSTRUCTIONS_CEILING


def test_a_life_with_an_export_executes_few_instructions_beyond_the_interpreters_start(
    valgrind: list[str], interpreters_start: int, tmp_path: Path
) -> None:
    """From its start over SHUTDOWN to its end: all that an export needs is loaded."""
    shutdown = json.dumps({"eventType": "SHUTDOWN", "deadlineMs": int(time.time() * 1000) + 60_000}).encode()
    answers = [answer(b"{}", b"Lambda-Extension-Identifier: x\r\n"), OK, answer(shutdown)]
    with HttpPeer([answers]) as runtime_api, HttpPeer([[OK]]) as collector:
        environment = {
            "AWS_LAMBDA_RUNTIME_API": runtime_api.url.removeprefix("http://"),
            "COLDSPAN_CHANNEL": str(tmp_path / "channel"),
            "COLDSPAN_LISTEN": f"127.0.0.1:{free_port()}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "PYTHONHASHSEED": "0",
        }
        done = subprocess.run(extension(valgrind), env=environment, capture_output=True, text=True, timeout=60)
    assert [head.split()[1] for _, head, _ in collector.requests] == [b"/v1/traces"]
    assert (instructions(done.stderr) - interpreters_start) / interpreters_start < LIFE_CEILING


def answer(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)
