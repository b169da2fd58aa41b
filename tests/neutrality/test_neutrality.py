"""The same function with and without the wrapper: same answer, same log, same process, as far as a function can see.

Three layers under the same local Lambda: PLAIN, whose coldspan-exec does nothing but exec; WRAPPER, ours without its
extension; FULL, ours. What must differ is normalised: ids, ports, times, the layer's own path.
"""

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coldspan_lab.service import Function, Lab
from coldspan_testing import interpreters, trees

FUNCTIONS = Path(__file__).parents[1] / "functions"
PLAIN, WRAPPER, FULL = "plain", "wrapper", "full"
CLIENTS = {
    "2.0.4": "3.10",
    "2.0.12": "3.11",
    "2.2.1": "3.11",
    "3.0.0": "3.11",
    "3.1.1": "3.12",
    "4.0.0": "3.13",
    "": "3.13",
}
"""Versions of awslambdaric, each on a Python that its pinned simplejson has wheels for; from 3.12 on it polls in a
thread. The empty one is the version installed beside the tests."""

LOOK: list[object] = [{"do": "look"}, {"do": "look"}]
CASES: dict[str, tuple[str, str, list[object]]] = {
    # name: (function's folder, handler, events)
    "look": ("neutral", "app.handler", LOOK),
    "raise": ("neutral", "app.handler", [{"do": "raises"}, {"do": "raises_without_str"}, {"do": "look"}]),
    "raise unencodable": ("neutral", "app.handler", [{"do": "raises_unencodable"}]),
    "interrupt": ("neutral", "app.handler", [{"do": "interrupts"}]),
    "exit 3": ("neutral", "app.handler", [{"do": "exits", "code": 3}]),
    "exit with text": ("neutral", "app.handler", [{"do": "exits", "code": "so long"}]),
    "exit 0": ("neutral", "app.handler", [{"do": "exits", "code": 0}]),
    "_exit": ("neutral", "app.handler", [{"do": "leaves"}]),
    "return object": ("neutral", "app.handler", [{"do": "returns_object"}, {"do": "look"}]),
    "return bytes": ("neutral", "app.handler", [{"do": "returns_bytes"}, {"do": "returns_large"}]),
    "log": ("neutral", "app.handler", [{"do": "logs"}]),
    "descriptors": ("neutral", "app.handler", [{"do": "closes_descriptors"}, {"do": "file_at_1000"}]),
    "fork": ("neutral", "app.handler", [{"do": "forks"}, {"do": "logs"}]),
    "not json": ("neutral", "app.handler", [b"{nonsense", {"do": "logs"}]),
    "bad handler name": ("neutral", "nodot", [{}]),
    "no such handler": ("neutral", "app.nothing", [{}]),
    "no such module": ("neutral", "nothing.handler", [{}]),
    "import error": ("import_error", "app.handler", [{}]),
    "exit at import": ("exit_at_import", "app.handler", [{}]),
    "own marshaller": ("own_marshaller", "app.handler", ["quiet", "raise", "again"]),
}


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("layers")
    plain = root / "plain" / "coldspan-exec"
    plain.parent.mkdir()
    plain.write_text('#!/bin/sh\nexec "$@"\n')
    plain.chmod(0o755)
    tree = trees.layer_tree()
    shutil.copytree(tree, root / "wrapper", ignore=shutil.ignore_patterns("extensions", "vendor"))
    return {PLAIN: plain.parent, WRAPPER: root / "wrapper", FULL: tree}


Plain = Callable[..., list[str]]


@pytest.fixture(scope="session")
def plain(layers: dict[str, Path]) -> Plain:
    """run() without the wrapper, once for each case and Python."""
    return functools.cache(functools.partial(run, layers[PLAIN]))


def run(layer: Path, case: str, python: Path, log_format: str = "Text") -> list[str]:
    """Everything that a caller and a log reader see, a line each."""
    folder, handler, events = CASES[case]
    function = Function(FUNCTIONS / folder, handler=handler, python=python, log_format=log_format, timeout_s=10)
    with Lab(function, layer=layer) as lab:
        answers = [lab.invoke(event) for event in events]
        lab.wait_frozen()
    seen = [f"{answer.status} {answer.function_error} {answer.payload!r}" for answer in answers]
    seen += [line.text for line in lab.log if line.source == "function"]
    return [_normalise(line, layer, lab.endpoint) for line in seen]


def _normalise(line: str, layer: Path, endpoint: str) -> str:
    line = line.replace(str(layer), "LAYER")
    line = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", line)
    line = re.sub(r"\b[0-9a-f]{32}\b", "HEX", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", line)
    line = re.sub(r'(METADATA_TOKEN": )"[^"]+"', r"\1TOKEN", line)
    line = re.sub(r"0x[0-9a-f]+", "0xADDRESS", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", line)
    return re.sub(r"/tmp/coldspan-[\w-]+", "TEMP", line)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layer", [WRAPPER, FULL])
def test_a_function_sees_and_does_the_same_with_the_wrapper(
    layers: dict[str, Path], plain: Plain, layer: str, case: str
) -> None:
    python = interpreters.runtime("3.11")
    assert run(layers[layer], case, python) == plain(case, python)


def test_our_frames_below_the_runtime_leave_recursion_two_less(layers: dict[str, Path]) -> None:
    def repeated(layer: str) -> int:
        function = Function(FUNCTIONS / "neutral", python=interpreters.runtime("3.11"))
        with Lab(function, layer=layers[layer]) as lab:
            error = lab.invoke({"do": "raises_deep"}).payload.decode()
        return int(re.findall(r"Previous line repeated (\d+) more times", error)[0])

    assert repeated(WRAPPER) == repeated(PLAIN) - 2


@pytest.mark.parametrize("version", interpreters.VERSIONS)
@pytest.mark.parametrize("case", ["look", "raise", "raise unencodable", "exit 3", "import error"])
def test_it_is_the_same_on_every_python(layers: dict[str, Path], plain: Plain, version: str, case: str) -> None:
    python = interpreters.runtime(version)
    assert run(layers[WRAPPER], case, python) == plain(case, python)


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
@pytest.mark.parametrize("client", CLIENTS)
def test_it_is_the_same_under_every_runtime_client(layers: dict[str, Path], client: str, log_format: str) -> None:
    python = interpreters.runtime(CLIENTS[client], client=client)
    for case in ("raise", "exit 3", "return object", "bad handler name", "own marshaller"):
        assert run(layers[WRAPPER], case, python, log_format) == run(layers[PLAIN], case, python, log_format)
