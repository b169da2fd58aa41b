"""What all environments of a run share: the interpreter with the runtime client, the service, the cache."""

import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from coldspan_bench import native
from coldspan_bench.errors import Unavailable
from coldspan_lab import tree_cache

RUNTIME_PACKAGES = ("awslambdaric", "boto3", "pydantic")
"""On Lambda the first two are the runtime's, the last one the function's own."""
MAX_SAID = 150
"""Characters of a line of pip's that are passed on."""
BOOTSTRAP = Path(__file__).parent / "bootstrap.py"


@dataclass(frozen=True, slots=True)
class Toolchain:
    cache: Path
    python: Path
    """Of a virtual environment with RUNTIME_PACKAGES."""
    version: str
    """3.13"""
    service: Path
    coldspan_layer: Path | None = None
    """The layer to measure; None: the one of this checkout."""

    def versions(self) -> dict[str, str]:
        """Of RUNTIME_PACKAGES and the interpreter."""
        found = packages_in(self.python.parents[1] / "lib" / f"python{self.version}" / "site-packages")
        python = subprocess.run([self.python, "-V"], check=True, capture_output=True, text=True).stdout.split()[1]
        return {"Python": python, **{name: found[name] for name in RUNTIME_PACKAGES if name in found}}


def make(python: str | None, coldspan_layer: Path | None = None) -> Toolchain:
    """`python`: an interpreter such as python3.13; None is the one that this runs on. Raises Unavailable."""
    cache = tree_cache.cache_folder() / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    executable, version = _inspect(python or str(getattr(sys, "_base_executable", sys.executable)))
    return Toolchain(cache, _environment(cache, executable, version), version, native.service(cache), coldspan_layer)


def install(folder: Path, python: Path, *requirements: str) -> None:
    """With pip, as a layer is filled. Raises Unavailable with what pip said."""
    _pip(python, "--target", str(folder), *requirements)


def packages_in(folder: Path) -> dict[str, str]:
    """Names, as PyPI writes them, and versions of what is installed there."""
    return {
        each.metadata["Name"].replace("_", "-"): each.version for each in metadata.distributions(path=[str(folder)])
    }


def _inspect(python: str) -> tuple[Path, str]:
    """The real executable, no launcher that would start it slowly, and its version."""
    question = "import sys; print(sys.executable, '%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", question], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"{python} does not run: {error}") from error
    executable, version = answer.split()
    return Path(executable), version


def _environment(cache: Path, executable: Path, version: str) -> Path:
    """Made in its place, since a virtual environment cannot be moved; the marker says that it is whole."""
    key = tree_cache.digest([(str(executable), " ".join(RUNTIME_PACKAGES).encode())])
    folder = cache / f"runtime-{version}-{key}"
    python, marker = folder / "bin" / "python", folder / "whole"
    if not marker.exists():
        subprocess.run([executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
        _pip(python, *RUNTIME_PACKAGES)
        marker.touch()
    return python


def _pip(python: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--prefer-binary"]
    done = subprocess.run([*pip, "--disable-pip-version-check", *arguments], capture_output=True, text=True)
    if done.returncode:
        said = [line.strip()[:MAX_SAID] for line in done.stderr.splitlines() if "ERROR" in line] or ["nothing"]
        wanted = [each for each in arguments if not each.startswith(("-", "/"))]
        raise Unavailable(f"pip install {' '.join(wanted)}: {said[0]}")
