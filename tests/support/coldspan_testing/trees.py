"""The layer tree for tests: built by the real builder, once for each Python version and state of the sources."""

import shutil
import time
from pathlib import Path

from coldspan_layer import builder, vendor
from coldspan_testing import cache, interpreters

SOURCES = ("wrapper", "extension", "layer")
STALE_AFTER_S = 3600.0  # a tree that young may be in use by another test process


def layer_tree(python: str = builder.current_python(), *, with_grpc: bool = False, lean_only: bool = False) -> Path:
    """The folder that stands for /opt, for this machine; skips the test where that Python is not to be had."""
    interpreters.executable(python)
    arch = builder.current_arch()
    kind = f"{python}-{arch}{'-grpc' if with_grpc else ''}{'-lean' if lean_only else ''}"

    def make(path: Path) -> None:
        builder.build(path, python=python, arch=arch, with_grpc=with_grpc, lean_only=lean_only)
        _forget_stale(path.parent, kind)

    return cache.once(f"trees/{kind}-{_state_of_sources()}", make)


def _forget_stale(trees: Path, kind: str) -> None:
    for marker in trees.glob(f"{kind}-*.ready"):
        if time.time() - marker.stat().st_mtime > STALE_AFTER_S:
            marker.unlink()
            shutil.rmtree(marker.with_suffix(""), ignore_errors=True)


def _state_of_sources() -> str:
    files = sorted(
        path
        for folder in SOURCES
        for path in (cache.CHECKOUT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )
    return cache.digest(
        *(part for path in files for part in (str(path), path.read_bytes())),
        *vendor.installed_versions(vendor.requirements(with_grpc=True)),
    )
