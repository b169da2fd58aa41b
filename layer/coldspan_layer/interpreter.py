"""Finds a CPython of the version that a layer is built for: bytecode is readable by its own version only."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from coldspan_layer.errors import BuildError
from coldspan_layer.target import current_python

IDENTIFY = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2]); print(sys.executable)"
IDENTIFY_TIMEOUT_S = 30.0


def find(python: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The executable of a CPython of the version `python` ("3.13"): the running one, one on PATH, pyenv's or uv's.

    Each candidate was run and said its version itself. Raises BuildError when there is none.
    """
    if python == current_python() and sys.implementation.name == "cpython":
        return Path(sys.executable)
    for candidate in _candidates(python, environ):
        found = _identify(candidate, python)
        if found is not None:
            return found
    places = ", ".join(str(place) for place in _installations(environ))
    raise BuildError(
        f"--python {python}: its bytecode needs that version, and there is no python{python} on PATH or in {places}. "
        f"Install one (pyenv install {python}, uv python install {python}, or your distribution's python{python}) "
        "and, if it lies elsewhere, put its folder on PATH."
    )


def _candidates(python: str, environ: Mapping[str, str]) -> Iterator[Path]:
    name = f"python{python}"
    on_path = shutil.which(name, path=environ.get("PATH"))
    if on_path is not None:
        yield Path(on_path)
    for place in _installations(environ):
        yield from sorted(place.glob(f"*{python}*/bin/{name}"), reverse=True)


def _installations(environ: Mapping[str, str]) -> list[Path]:
    """Where pyenv and uv keep their interpreters, one folder each."""
    home = Path(environ.get("HOME", "/"))
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return [
        Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python"),
    ]


def _identify(candidate: Path, python: str) -> Path | None:
    """The real executable behind a candidate (which may be a pyenv shim), or None if it is not what its name says."""
    try:
        answer = subprocess.run(
            [candidate, "-I", "-c", IDENTIFY], capture_output=True, text=True, timeout=IDENTIFY_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    identity, _, executable = answer.stdout.strip().partition("\n")
    return Path(executable) if identity == f"cpython {python}" else None
