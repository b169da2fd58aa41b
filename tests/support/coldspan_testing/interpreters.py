"""The CPythons of this machine, each with a virtual environment that has the runtime client.

A version that is not there skips the test, and the reason says how to get it. Where CI is set, at least one of the
versions must be there.
"""

import functools
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from coldspan_layer import interpreter
from coldspan_layer.errors import BuildError
from coldspan_testing import cache

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
RUNTIME_CLIENT = "awslambdaric"


def executable(version: str) -> Path:
    """The real executable (no shim) of that version; skips the test where there is none."""
    found = _found().get(version)
    if isinstance(found, Path):
        return found
    if os.environ.get("CI") and not any(isinstance(other, Path) for other in _found().values()):
        pytest.fail(f"CI is set, and none of Python {', '.join(VERSIONS)} is on this machine")
    pytest.skip(str(found))


def runtime(version: str, *packages: str, client: str = "") -> Path:
    """The python of a virtual environment of that version with awslambdaric and `packages`, such as "boto3".

    Each comes in the version that is installed beside the tests, where one is; awslambdaric in version `client` if
    that is given.
    """
    base = executable(version)
    runtime_client = f"{RUNTIME_CLIENT}=={client}" if client else RUNTIME_CLIENT
    wanted = sorted(_pinned(package) for package in (runtime_client, *packages))
    name = f"venvs/{version}-{cache.digest(str(base), *wanted)}"
    return cache.once(name, lambda path: _make(path, base, wanted)) / "bin" / "python"


def search_path(version: str) -> str:
    """A PATH where that interpreter comes first, as /var/lang/bin does on Lambda; shims of pyenv come after it."""
    return f"{executable(version).parent}{os.pathsep}{os.environ['PATH']}"


@functools.cache
def _found() -> dict[str, Path | BuildError]:
    return {version: _find(version) for version in VERSIONS}


def _find(version: str) -> Path | BuildError:
    try:
        return interpreter.find(version)
    except BuildError as missing:
        return missing


def _pinned(package: str) -> str:
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package


def _make(path: Path, base: Path, packages: list[str]) -> None:
    subprocess.run([base, "-m", "venv", "--without-pip", path], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(path / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "--prefer-binary", *packages], check=True)
