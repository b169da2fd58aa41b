"""The command as a user has it: the console script beside this Python, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COLDSPAN = Path(sys.executable).with_name("coldspan")

Completed = subprocess.CompletedProcess[str]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Without what would colour or widen the output, and with a cache of its own."""
    unwanted = {"FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"}
    return {name: value for name, value in os.environ.items() if name not in unwanted} | {
        "XDG_CACHE_HOME": str(tmp_path / "cache")
    }


@pytest.fixture
def coldspan_path() -> Path:
    return COLDSPAN


@pytest.fixture
def coldspan(environ: dict[str, str]) -> Callable[..., Completed]:
    def run(*arguments: object, **variables: str) -> Completed:
        command = [str(COLDSPAN), *map(str, arguments)]
        return subprocess.run(command, env=environ | variables, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def function(tmp_path: Path) -> Callable[[str], Path]:
    """A folder with an app.py of that text."""

    def make(code: str = "def handler(event, context):\n    return event\n") -> Path:
        folder = tmp_path / "orders"
        folder.mkdir()
        (folder / "app.py").write_text(code)
        return folder

    return make
