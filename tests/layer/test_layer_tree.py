"""What lands in /opt."""

import ast
import importlib.util
import marshal
import os
import pkgutil
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import requests

import coldspan_extension
import coldspan_layer
import coldspan_wrapper
from coldspan_layer import archive, bundle, trust, unused
from coldspan_layer.builder import build, current_python
from coldspan_layer.vendor import requirements

UNCHECKED_HASH = 0b01  # PEP 552: bit 0 hash-based, bit 1 checked against the source
SITE_PACKAGES = Path(requests.__file__).parents[1]
OPT = Path(coldspan_layer.__file__).parent / "opt"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def bytecode(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.pyc"))


def test_lambda_finds_one_extension_and_nothing_else_of_ours_to_start_or_import(tree: Path) -> None:
    assert names(tree) == names(OPT) | {"coldspan"}
    assert names(tree / "extensions") == {"coldspan"}  # Lambda starts every file in there


def test_entry_points_are_the_packaged_files_verbatim_and_the_only_executables(tree: Path) -> None:
    entry_points = {path.relative_to(OPT): path.read_bytes() for path in archive.files(OPT)}
    executables = [path for path in archive.files(tree) if os.access(path, os.X_OK)]
    assert {path.relative_to(tree): path.read_bytes() for path in executables} == entry_points


def test_modes_let_another_user_read_everything(tree: Path) -> None:
    modes = {path: path.stat().st_mode & 0o777 for path in tree.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o755}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o755, 0o644}
    assert tree.stat().st_mode & 0o777 == 0o755


def test_tree_says_which_python_it_was_built_for(tree: Path) -> None:
    assert (tree / "coldspan" / "python").read_text() == f"{current_python()}\n"


@pytest.mark.parametrize(
    ("package", "folder"),
    [(coldspan_wrapper, "wrapper"), (coldspan_extension, "extension")],
    ids=["wrapper", "extension"],
)
def test_our_code_is_the_installed_package_alone_on_its_path_entry(tree: Path, package: object, folder: str) -> None:
    (installed,) = package.__path__  # type: ignore[attr-defined]
    sources = {path.relative_to(installed): path.read_bytes() for path in Path(installed).rglob("*.py")}
    entry = tree / "coldspan" / folder
    copied = entry / Path(installed).name
    assert {path.relative_to(copied): path.read_bytes() for path in copied.rglob("*.py")} == sources
    assert names(entry) == {copied.name}


def test_every_other_module_has_unchecked_bytecode_of_its_version_beside_it(tree: Path) -> None:
    sources = sorted(path for path in (tree / "coldspan").rglob("*.py") if "coldspan_extension" not in path.parts)
    assert bytecode(tree) == sorted(Path(importlib.util.cache_from_source(str(source))) for source in sources)
    for compiled in bytecode(tree):
        magic, flags = struct.unpack("<4sI", compiled.read_bytes()[:8])
        assert (magic, flags) == (importlib.util.MAGIC_NUMBER, UNCHECKED_HASH), compiled


def test_bundle_has_all_that_the_extension_imports_of_ours_in_bytecode_of_its_version(tree: Path) -> None:
    modules = [module.name for module in pkgutil.walk_packages(coldspan_extension.__path__, "coldspan_extension.")]
    content = (tree / "coldspan" / bundle.PLACE).read_bytes()
    assert content.startswith(importlib.util.MAGIC_NUMBER)
    index = marshal.loads(content[8:])
    assert set(index) == {"coldspan_extension", *modules, "coldspan_wrapper", "coldspan_wrapper.records"}
    for path, at, size in index.values():
        assert marshal.loads(content[at : at + size]).co_filename == f"/opt/coldspan/{path}"


def test_extension_imports_its_modules_from_the_bundle_and_else_from_their_sources(tmp_path: Path, tree: Path) -> None:
    copy = Path(shutil.copytree(tree, tmp_path / "tree", ignore=shutil.ignore_patterns("vendor")))
    loaded = loaders(copy)
    assert {"coldspan_extension", "coldspan_extension.export.lean", "coldspan_wrapper"} < set(loaded)
    assert set(loaded.values()) == {"Bundle"}
    (copy / "coldspan" / bundle.PLACE).write_bytes(b"\0\0\r\n" + b"of another Python")
    assert loaders(copy) == dict.fromkeys(loaded, "SourceFileLoader")
    (copy / "coldspan" / bundle.PLACE).unlink()
    assert loaders(copy) == dict.fromkeys(loaded, "SourceFileLoader")


def loaders(tree: Path) -> dict[str, str]:
    """What loads each module of ours, by its name, where start.py is given a boot.py that tells just that."""
    script = """if True:
        import runpy, sys, types
        program = sys.argv.pop()
        def main(started):
            from coldspan_extension.export import lean
            for name, module in list(sys.modules.items()):
                if name.startswith("coldspan_") and name != "coldspan_extension.boot":
                    assert module.__file__.startswith(program.partition("/extension/")[0]), name
                    print(name, type(module.__spec__.loader).__name__)
        sys.modules["coldspan_extension.boot"] = types.SimpleNamespace(main=main)
        runpy.run_path(program)
    """
    start = str(tree / "coldspan" / "extension" / "coldspan_extension" / "start.py")
    said = subprocess.run([sys.executable, "-ISBc", script, start], capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in said.splitlines())


def test_bytecode_names_the_path_in_lambda_not_the_builders(tree: Path) -> None:
    for compiled in bytecode(tree):
        content = compiled.read_bytes()
        assert b"/opt/coldspan/" in content, compiled
        assert b".coldspan-layer-" not in content, compiled


def test_extension_has_its_dependencies_in_the_versions_installed_here(tree: Path) -> None:
    vendored = metadata.distributions(path=[str(tree / "coldspan" / "vendor")])
    versions = {found.name: found.version for found in vendored}
    assert versions == {name: metadata.version(name) for name in versions}
    assert {requirement.partition(">")[0] for requirement in requirements(with_grpc=False)} <= set(versions)
    assert "grpcio" not in versions


def test_dependencies_import_from_the_tree_alone(tree: Path) -> None:
    script = """if True:
        import sys
        sys.path.append(sys.argv[1])
        import requests, structlog
        from opentelemetry import context
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        assert context.get_current() == {}  # loaded through its entry point
        print(OTLPSpanExporter.__module__, requests.__file__)
    """
    vendor = str(tree / "coldspan" / "vendor")
    command = [sys.executable, "-I", "-S", "-c", script, vendor]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert vendor in done.stdout


def test_licence_of_every_distribution_travels_along(tree: Path) -> None:
    assert "Apache License" in (tree / "coldspan" / "LICENSE").read_text()
    assert "Mozilla Public License" in (tree / "coldspan" / "LICENSE.certifi").read_text()
    for vendored in (tree / "coldspan" / "vendor").glob("*.dist-info"):
        files = {path.name for path in vendored.rglob("*") if path.is_file()}
        assert [name for name in files if name.lower().startswith(("licen", "copying"))], vendored


def test_files_that_no_program_reads_stay_behind(tree: Path) -> None:
    kept = {path.relative_to(tree).as_posix() for path in archive.files(tree)}
    unread = (".pyi", ".proto", "/RECORD", "/INSTALLER", "/WHEEL", "/py.typed")
    assert not [name for name in kept if name.endswith(unread) or "/tests/" in name]


def test_arm64_layer_has_arm64_libraries_of_its_python(arm64_tree: Path) -> None:
    python = (arm64_tree / "coldspan" / "python").read_text().strip()
    libraries = [path for path in archive.files(arm64_tree) if path.suffix == ".so"]
    elf_machines = {struct.unpack("<H", library.read_bytes()[18:20])[0] for library in libraries}
    assert elf_machines == {0xB7}  # EM_AARCH64
    tag = f"cpython-{python.replace('.', '')}"
    assert {tag in library.name or "abi3" in library.name for library in libraries} == {True}
    assert {tag in compiled.name for compiled in bytecode(arm64_tree)} == {True}


def test_grpc_exporter_comes_only_when_asked_for(tree: Path, arm64_tree: Path) -> None:
    exporter = "coldspan/vendor/opentelemetry/exporter/otlp/proto/grpc"
    assert (arm64_tree / exporter).is_dir()
    assert not (tree / exporter).exists()


def test_layer_replaces_an_older_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    older = tmp_path / "layer"
    (older / "coldspan").mkdir(parents=True)
    (older / "coldspan-exec").touch()
    (older / "coldspan" / "python").write_text("3.9\n")
    build(older, python=current_python(), lean_only=True)
    assert (older / "coldspan" / "python").read_text() == f"{current_python()}\n"
    assert names(tmp_path) == {"layer"}


def test_a_lean_only_layer_is_the_same_without_the_dependencies(tree: Path, lean_tree: Path) -> None:
    def contents(of: Path) -> dict[str, bytes]:
        return {path.relative_to(of).as_posix(): path.read_bytes() for path in archive.files(of)}

    full = {name: content for name, content in contents(tree).items() if not name.startswith("coldspan/vendor/")}
    assert contents(lean_tree) == {**full, "coldspan/lean-only": b""}


@pytest.mark.parametrize("fixture", ["tree", "lean_tree"])
def test_the_certificates_that_an_endpoint_is_verified_by_are_in_the_layer(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue(fixture) / "coldspan" / "trust"
    bundle = trust.certificates(trust.installed_bundle())
    assert sorted(path.read_text() for path in store.iterdir()) == sorted(bundle)


@pytest.mark.parametrize("pattern", unused.UNUSED)
def test_each_row_of_what_is_unused_names_something_that_would_be_there(tree: Path, pattern: str) -> None:
    assert list(SITE_PACKAGES.glob(pattern))
    left = {path.name for path in (tree / "coldspan" / "vendor").glob(pattern) if path.is_file()}
    assert left <= unused.USED


def test_nothing_that_stays_imports_something_that_went(tree: Path) -> None:
    vendor = tree / "coldspan" / "vendor"
    own = names(vendor)
    missing = {
        (path.relative_to(vendor).as_posix(), module)
        for path in vendor.rglob("*.py")
        for module in imported(path, vendor)
        if module.partition(".")[0] in own and is_there(SITE_PACKAGES, module) and not is_there(vendor, module)
    }
    assert missing == {("urllib3/__init__.py", "urllib3.contrib.emscripten")}  # where it runs in a browser


def is_there(root: Path, module: str) -> bool:
    path = root / module.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(path: Path, root: Path) -> Iterator[str]:
    """The modules that a source's import statements may mean, wherever they stand in it."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            around = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*around, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
