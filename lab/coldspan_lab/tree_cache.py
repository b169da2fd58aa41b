"""The layer trees that `coldspan run` puts in the place of /opt: each built once, below $XDG_CACHE_HOME/coldspan."""

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from coldspan_layer import builder

PACKAGES = (*builder.OUR_PACKAGES, "coldspan_layer")
"""Whose sources decide what a tree looks like."""

Build = Callable[[Path], object]


def layer_tree(cache: Path, python: str) -> Path:
    """The tree for a Python such as "3.13" on this machine, built if it is not there yet. Raises BuildError."""
    arch = builder.current_arch()
    name = f"layer-{python}-{arch}-{digest(_sources())}"
    return once(cache / name, lambda output: builder.build(output, python=python, arch=arch))


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """XDG Base Directory specification: a relative path is as good as none."""
    base = Path(environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "coldspan"


def once(tree: Path, build: Build) -> Path:
    """`tree`, after building it if it is not there. It is built beside its place and renamed into it: when it is there,
    it is whole. Of two runs at once, the later one takes what the earlier one has built."""
    if tree.is_dir():
        return tree
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=tree.parent) as work:
        built = Path(work) / "tree"
        build(built)
        try:
            built.rename(tree)
        except OSError:  # a folder that is not empty is never replaced
            if not tree.is_dir():
                raise
    return tree


def digest(files: Iterable[tuple[str, bytes]]) -> str:
    """A short key for names and contents of files, whatever their order."""
    whole = hashlib.sha256()
    for name, content in sorted(files):
        for part in (name.encode(), content):
            whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()[:16]


def _sources() -> Iterable[tuple[str, bytes]]:
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0])
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                yield f"{package}/{path.relative_to(folder).as_posix()}", path.read_bytes()
