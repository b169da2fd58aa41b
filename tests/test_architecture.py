"""The folders are the architecture: imports point one way, and the wrapper is a guest that brings nothing along."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from coldspan_testing.cache import CHECKOUT

PACKAGES = {
    "coldspan_wrapper": "wrapper",
    "coldspan_extension": "extension",
    "coldspan_layer": "layer",
    "coldspan_report": "report",
    "coldspan_lab": "lab",
    "coldspan_bench": "benchmarks",
}

# What each may import of ours besides itself; the wrapper's records are the one module that two processes share.
RECORDS = {"coldspan_wrapper", "coldspan_wrapper.records"}
MAY_IMPORT: dict[str, set[str]] = {
    "coldspan_wrapper": set(),
    "coldspan_extension": RECORDS,
    "coldspan_layer": set(),
    "coldspan_report": set(),
    "coldspan_lab": {*RECORDS, "coldspan_layer", "coldspan_layer.*", "coldspan_report", "coldspan_report.*"},
    "coldspan_bench": {
        "coldspan_lab",
        "coldspan_lab.*",
        "coldspan_layer",
        "coldspan_layer.*",
        "coldspan_report",
        "coldspan_report.*",
    },
}

# Split, so that this file passes its own test.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("public", "ecr", "aws"),
    )
]
UNCHECKED_FOLDERS = {".git", ".venv", ".cache", ".hypothesis", "dist", "docs"}
SOURCE_SUFFIXES = {".cfg", ".ini", ".json", ".mk", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml", ""}


def modules(package: str) -> list[Path]:
    return sorted((CHECKOUT / PACKAGES[package] / package).rglob("*.py"))


def imported(module: Path, package: str) -> Iterator[str]:
    """Full names of what a module imports, anywhere in it; `from package import module` gives both."""
    here = module.relative_to(CHECKOUT / PACKAGES[package]).with_suffix("").parts
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = here[: len(here) - node.level] if node.level else ()
            source = ".".join([*parent, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names if is_module_of_ours(f"{source}.{alias.name}"))


def is_module_of_ours(name: str) -> bool:
    package, *rest = name.split(".")
    if package not in PACKAGES:
        return False
    path = (CHECKOUT / PACKAGES[package] / package).joinpath(*rest)
    return path.is_dir() or path.with_suffix(".py").is_file()


def source_files() -> Iterator[Path]:
    for entry in CHECKOUT.iterdir():
        if entry.name in UNCHECKED_FOLDERS or entry.name.endswith("_cache"):
            continue
        for path in entry.rglob("*") if entry.is_dir() else [entry]:
            if path.is_file() and path.suffix in SOURCE_SUFFIXES and "__pycache__" not in path.parts:
                yield path


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    allowed = {package, f"{package}.*", *MAY_IMPORT[package]}
    of_ours = {
        (module.name, name)
        for module in modules(package)
        for name in imported(module, package)
        if name.split(".")[0] in PACKAGES
    }
    assert not [found for found in of_ours if not any(fnmatch(found[1], pattern) for pattern in allowed)]


def test_wrapper_imports_the_standard_library_only() -> None:
    wrapper = "coldspan_wrapper"
    roots = {name.split(".")[0] for module in modules(wrapper) for name in imported(module, wrapper)}
    assert roots - {wrapper} <= sys.stdlib_module_names


def test_every_folder_with_a_package_has_its_rule() -> None:
    packages = {path.parent.name for path in CHECKOUT.glob("*/coldspan_*/__init__.py")}
    assert packages == set(PACKAGES) == set(MAY_IMPORT)


def test_no_source_names_a_package_registry() -> None:
    """Where packages come from is the user's configuration of pip."""
    sources = list(source_files())
    assert CHECKOUT / "pyproject.toml" in sources
    texts = ((path, path.read_text(errors="replace")) for path in sources)
    assert not [(path, host) for path, text in texts for host in REGISTRY_HOSTS if host in text]
