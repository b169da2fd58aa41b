"""The extension's dependencies: wheels for the target, in the versions that stand beside coldspan here."""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from coldspan_layer import unused
from coldspan_layer.errors import BuildError
from coldspan_layer.target import Target

# As in pyproject.toml, except that the exporters are named one by one: grpcio alone is 15 MB.
REQUIREMENTS = (
    "opentelemetry-exporter-otlp-proto-http>=1.45,<2",
    "opentelemetry-sdk>=1.45,<2",
    "requests>=2.32",
    "structlog>=25.1",
)
GRPC_REQUIREMENT = "opentelemetry-exporter-otlp-proto-grpc>=1.45,<2"
NOT_IN_A_NAME = r"[^A-Za-z0-9._-]"  # a requirement begins with the name (PEP 508)

# Of a distribution's metadata OpenTelemetry reads its version and entry points (it loads its context through one);
# the licences have to travel along. What follows its fields is the project's README.
KEPT_METADATA = {"METADATA", "entry_points.txt"}
LICENCE_NAMES = ("authors", "copying", "copyright", "licence", "license", "notice")

# For type checkers, C compilers and protoc: nothing a running program reads.
DROPPED_SUFFIXES = {".c", ".h", ".proto", ".pxd", ".pxi", ".pyi", ".pyx"}
# Top-level data and test folders of the distributions above. Modules called "testing" stay: others may import them.
DROPPED_FOLDERS = {"__pycache__", "test", "testdata", "tests"}


def requirements(*, with_grpc: bool) -> list[str]:
    return [*REQUIREMENTS, GRPC_REQUIREMENT] if with_grpc else list(REQUIREMENTS)


def install(into: Path, target: Target, interpreter: Path, *, with_grpc: bool, scratch: Path) -> None:
    """Installs wheels into the folder `into`, then drops what no program reads.

    `interpreter` has the target's version. Raises BuildError with pip's own words.
    """
    needed = requirements(with_grpc=with_grpc)
    constraints = scratch / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in installed_versions(needed)))
    command = [*_pip(interpreter), "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
    command += ["--target", str(into), "--constraint", str(constraints)]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", target.python]
    for platform in target.platforms:
        command += ["--platform", platform]
    command += needed
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(
            f"pip could not install the layer's dependencies, in the versions installed here, "
            f"for Python {target.python} on {target.arch}:\n"
            f"{done.stderr.strip() or done.stdout.strip()}"
        )
    if not with_grpc:  # that exporter imports every signal's
        unused.drop(into)
    prune(into)


def _pip(interpreter: Path) -> list[str]:
    """The command that is pip under that interpreter, since pip evaluates markers such as python_version < "3.11" for
    the Python it runs under, whatever --python-version says. Its own pip where it has one: an older one of ours may
    not run under a newer Python (23.0, which came with 3.10, fails under 3.12)."""
    own = subprocess.run([interpreter, "-c", "import pip"], stdin=subprocess.DEVNULL, capture_output=True)
    if own.returncode == 0:
        return [str(interpreter), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(interpreter)]


def installed_versions(needed: list[str]) -> list[str]:
    """A pin for each requirement and for what these require in turn, as far as it is installed here.

    Thus the layer has what coldspan was tested with. Not a pin for everything installed: pip refuses a whole file for
    one version that is no PEP 440 version, which distributions' own packages may have.
    """
    pins: dict[str, str] = {}
    pending = list(needed)
    while pending:
        name = re.split(NOT_IN_A_NAME, pending.pop(), maxsplit=1)[0]
        if name in pins:
            continue
        try:
            installed = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        pins[name] = f"{name}=={installed.version}"
        pending += [requirement for requirement in installed.requires or () if "extra ==" not in requirement]
    return sorted(pins.values())


def prune(vendored: Path) -> None:
    """Drops from a folder of installed wheels what no running program reads; licences stay."""
    shutil.rmtree(vendored / "bin", ignore_errors=True)
    for path in sorted(vendored.rglob("*"), reverse=True):
        if path.is_dir():
            if path.name in DROPPED_FOLDERS:
                shutil.rmtree(path)
            elif not any(path.iterdir()):
                path.rmdir()
        elif not _is_needed(path.relative_to(vendored)):
            path.unlink()
        elif path.name == "METADATA":
            fields, _, _ = path.read_bytes().partition(b"\n\n")
            path.write_bytes(fields + b"\n")


def _is_needed(path: Path) -> bool:
    if path.parts[0].endswith(".dist-info"):
        return path.name in KEPT_METADATA or any(part.lower().startswith(LICENCE_NAMES) for part in path.parts[1:])
    return path.suffix not in DROPPED_SUFFIXES and path.name != "py.typed"
