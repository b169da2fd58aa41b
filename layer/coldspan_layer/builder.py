"""Builds the layer.

    extensions/coldspan   coldspan-exec   coldspan-bootstrap
                                                         from this package's opt/, verbatim and executable
    coldspan/python                                      the version it was built for, such as 3.13
    coldspan/LICENSE                                     coldspan's own; each dependency's is with it in vendor/
    coldspan/LICENSE.certifi                             of the certificates in trust/
    coldspan/wrapper/coldspan_wrapper/                   our code, from the installed packages
    coldspan/extension/coldspan_extension/
    coldspan/trust/                                      the certificates that an https endpoint is verified by
    coldspan/vendor/                                     the extension's dependencies; or, in a lean-only layer,
    coldspan/lean-only                                   an empty file that says that there are none

Every .py has its bytecode beside it, those of the extension in one file (bundle.py). Two builds of the same sources and
versions are equal byte for byte. What is built takes its place by a rename: whoever uses the output sees the old one or
the new one.
"""

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from coldspan_layer import archive, bundle, bytecode, interpreter, sizes, target, trust, vendor
from coldspan_layer.errors import BuildError
from coldspan_layer.sizes import Part
from coldspan_layer.target import ARCHITECTURES, Target, current_arch, current_python

__all__ = ["ARCHITECTURES", "BuildError", "BuildReport", "build", "current_arch", "current_python"]

OPT = Path(__file__).parent / "opt"
# By package, the folder of its own that goes on sys.path: the wrapper must not bring the extension along.
OUR_PACKAGES = {"coldspan_wrapper": "wrapper", "coldspan_extension": "extension"}
# What says that a folder is a layer of ours, and may be replaced.
TELLTALES = ("coldspan-exec", "coldspan/python")


@dataclass(frozen=True, slots=True)
class BuildReport:
    output: Path
    python: str
    arch: str
    parts: list[Part]

    @property
    def unzipped_bytes(self) -> int:
        return sum(part.unzipped_bytes for part in self.parts)

    @property
    def zipped_bytes(self) -> int | None:
        """None for a layer that was not zipped."""
        known = [part.zipped_bytes for part in self.parts if part.zipped_bytes is not None]
        return sum(known) if known else None

    def lines(self) -> list[str]:
        """The sizes as text, a line a part."""
        rows = [(part.name, part.unzipped_bytes, part.zipped_bytes) for part in self.parts if part.files]
        return [_size_line(*row) for row in [*rows, ("total", self.unzipped_bytes, self.zipped_bytes)]]


def build(
    output: Path,
    *,
    python: str = current_python(),
    arch: str = "x86_64",
    with_grpc: bool = False,
    lean_only: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> BuildReport:
    """Builds into `output`: a file if it ends in .zip, else a folder. `say` gets progress and sizes, line by line.

    A lean-only layer comes without OpenTelemetry's SDK and all other dependencies: it has the lean lane alone.
    Raises BuildError for a bad argument, an output that is something else's, a missing interpreter, a failing pip.
    """
    if lean_only and with_grpc:
        raise BuildError("--lean-only and --with-grpc: expected one of them; gRPC comes with the dependencies")
    wanted = target.parse(python, arch)
    output = output.resolve()
    check_output(output)
    compiler = interpreter.find(python)
    with _work_folder(output.parent) as work:
        tree = work / "tree"
        _lay_out(tree, wanted)
        if lean_only:
            (tree / "coldspan" / "lean-only").touch()
        else:
            say(f"Installing the layer's dependencies for Python {python} on {arch}")
            vendor.install(tree / "coldspan" / "vendor", wanted, compiler, with_grpc=with_grpc, scratch=work)
        say(f"Compiling with {compiler}")
        bytecode.compile_tree(tree, compiler)
        bundle.write(tree / "coldspan")
        _set_modes(tree)
        parts = sizes.of_tree(tree)
        if output.suffix == ".zip":
            archive.write(tree, work / "layer.zip")
            parts = sizes.of_zip(work / "layer.zip")
            (work / "layer.zip").replace(output)
        else:
            _put_in_place(tree, output, aside=work / "replaced")
    report = BuildReport(output, python, arch, parts)
    say(f"Built {output}")
    for line in report.lines():
        say(line)
    return report


def check_output(output: Path) -> None:
    """Raises BuildError unless `output` is free, a zip to overwrite, an empty folder or a layer of ours."""
    if output.suffix == ".zip":
        if output.is_dir():
            raise BuildError(f"--output {output}: is a folder; expected a file that may be written")
    elif output.suffix[1:2].isalpha():
        raise BuildError(f"--output {output}: expected a name that ends in .zip, or a folder's without a suffix")
    elif output.exists() and not output.is_dir():
        raise BuildError(f"--output {output}: is a file; expected a folder, or a name that ends in .zip")
    elif output.exists() and any(output.iterdir()) and not all((output / name).is_file() for name in TELLTALES):
        raise BuildError(f"--output {output}: holds something that is not a coldspan layer; expected an empty folder")


@contextmanager
def _work_folder(parent: Path) -> Iterator[Path]:
    """A folder beside the output: on the same file system, so that a rename is enough. Gone afterwards."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".coldspan-layer-", dir=parent, ignore_cleanup_errors=True) as work:
            yield Path(work)
    except OSError as error:
        raise BuildError(f"--output: the layer cannot be written below {parent}: {error}") from error


def _lay_out(tree: Path, wanted: Target) -> None:
    """All but the dependencies."""
    shutil.copytree(OPT, tree)
    ours = tree / "coldspan"
    ours.mkdir()
    (ours / "python").write_text(f"{wanted.python}\n")
    _copy_licence("coldspan", ours / "LICENSE")
    _copy_licence("certifi", ours / "LICENSE.certifi")
    for package, folder in OUR_PACKAGES.items():
        _copy_sources(package, ours / folder / package)
    trust.write(trust.installed_bundle(), ours / "trust")


def _copy_sources(package: str, destination: Path) -> None:
    """The .py files of an installed package, with its subpackages."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"the package {package} is not installed; expected all of coldspan: pip install coldspan")
    source = Path(spec.submodule_search_locations[0])
    for path in source.rglob("*.py"):
        copied = destination / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)


def _copy_licence(distribution: str, to: Path) -> None:
    for installed in metadata.files(distribution) or ():
        if installed.name == "LICENSE":
            shutil.copyfile(str(installed.locate()), to)


def _set_modes(tree: Path) -> None:
    """Readable by Lambda's unprivileged user, and only what Lambda starts executable, whatever the umask here."""
    started = {tree / path.relative_to(OPT) for path in archive.files(OPT)}
    tree.chmod(archive.EXECUTABLE)
    for path in tree.rglob("*"):
        path.chmod(archive.EXECUTABLE if path.is_dir() or path in started else archive.PLAIN)


def _put_in_place(tree: Path, output: Path, *, aside: Path) -> None:
    if output.exists():
        output.rename(aside)
    tree.rename(output)


def _size_line(name: str, unzipped: int, zipped: int | None) -> str:
    line = f"  {name:<14}{unzipped / 1_000_000:>8.2f} MB"
    return line if zipped is None else f"{line}{zipped / 1_000_000:>8.2f} MB zipped"
