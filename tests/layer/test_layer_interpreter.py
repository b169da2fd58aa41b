"""Finding a CPython of the layer's version."""

import subprocess
import sys
from pathlib import Path

import pytest

from coldspan_layer import interpreter
from coldspan_layer.builder import BuildError, current_python
from coldspan_testing import interpreters

NONE_THERE = {"PATH": "", "HOME": "/nonexistent"}


def other_python() -> tuple[str, Path]:
    """A version that is not the running one, and its executable."""
    version = next(version for version in interpreters.VERSIONS if version != current_python())
    return version, interpreters.executable(version)


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_running_interpreter_serves_its_own_version() -> None:
    assert interpreter.find(current_python(), NONE_THERE) == Path(sys.executable)


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_found_interpreter_has_the_version(version: str) -> None:
    found = interpreters.executable(version)
    answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith(f"Python {version}.")


def test_shim_on_path_is_resolved_to_the_real_interpreter(tmp_path: Path) -> None:
    version, real = other_python()
    script(tmp_path / "bin" / f"python{version}", f'exec {real} "$@"')
    assert interpreter.find(version, {**NONE_THERE, "PATH": str(tmp_path / "bin")}) == real


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("PYENV_ROOT", "versions/{version}.4"), ("UV_PYTHON_INSTALL_DIR", "cpython-{version}.4-linux-x86_64-gnu")],
)
def test_interpreters_of_pyenv_and_uv_are_found_without_path(tmp_path: Path, variable: str, folder: str) -> None:
    version, real = other_python()
    script(tmp_path / folder.format(version=version) / "bin" / f"python{version}", f'exec {real} "$@"')
    assert interpreter.find(version, {**NONE_THERE, variable: str(tmp_path)}) == real


@pytest.mark.parametrize("text", ["echo cpython 3.98; echo /bin/false", "exit 127", "echo"])
def test_program_that_is_not_what_its_name_says_is_passed_over(tmp_path: Path, text: str) -> None:
    script(tmp_path / "bin" / "python3.99", text)
    with pytest.raises(BuildError, match=r"no python3\.99"):
        interpreter.find("3.99", {**NONE_THERE, "PATH": str(tmp_path / "bin")})
