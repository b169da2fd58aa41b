"""The C programs of the benchmark, compiled where it runs: the service, and the extension that is the floor."""

import shutil
import subprocess
from pathlib import Path

from coldspan_bench.errors import Unavailable
from coldspan_lab import tree_cache

SOURCES = Path(__file__).parent / "native"
SERVICE = "service"
STATIC_EXTENSION = "static_extension"
OPTIONS = ("-O2", "-Wall", "-Wextra", "-Werror")


def service(cache: Path) -> Path:
    """Raises Unavailable."""
    sources = [path for path in sorted(SOURCES.glob("*.c")) if path.stem != STATIC_EXTENSION]
    return _program(cache, SERVICE, sources, ())


def static_extension(cache: Path) -> Path:
    """Raises Unavailable, also where only a dynamic program can be linked: that would be another floor."""
    return _program(cache, STATIC_EXTENSION, [SOURCES / f"{STATIC_EXTENSION}.c"], ("-static",))


def _program(cache: Path, name: str, sources: list[Path], options: tuple[str, ...]) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise Unavailable("no C compiler: neither gcc nor cc is on PATH")
    key = tree_cache.digest((path.name, path.read_bytes()) for path in SOURCES.iterdir())
    command = [compiler, *OPTIONS, *options, *map(str, sources)]

    def build(folder: Path) -> None:
        folder.mkdir()
        done = subprocess.run([*command, "-o", str(folder / name)], capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")

    return tree_cache.once(cache / f"{name}-{key}", build) / name
