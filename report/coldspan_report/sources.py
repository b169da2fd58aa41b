"""Where spans come from: what the command's SOURCE arguments name, and what a file is, by its first bytes."""

import glob
import gzip
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from coldspan_report.errors import SourceInvalid

STDIN = "-"
OTLP, PARQUET = "otlp", "parquet"
_MAGIC = {b"PAR1": (PARQUET, ""), b"\x1f\x8b": (OTLP, "gzip")}
_UNREAD = {b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


@dataclass(frozen=True, slots=True)
class File:
    path: Path
    name: str
    """As the user knows it."""
    format: str
    compression: str = ""
    """gzip, or nothing."""

    def lines(self) -> Iterator[bytes]:
        """Raises SourceInvalid where a compressed file ends early."""
        with gzip.open(self.path) if self.compression else self.path.open("rb") as file:
            try:
                yield from file
            except (EOFError, OSError) as error:
                raise SourceInvalid(f"{self.name}: {error}") from error


def files(arguments: Sequence[str], folder: Path, stdin: BinaryIO | None = None) -> list[File]:
    """In the order of the arguments, each once. Standard input is kept in the folder. Raises SourceInvalid."""
    found: dict[str, File] = {}
    for argument in arguments:
        if argument == STDIN:
            path = folder / "stdin"
            with path.open("wb") as copy:
                shutil.copyfileobj(stdin or sys.stdin.buffer, copy, 1 << 20)
            found[STDIN] = _file(path, "standard input")
            continue
        for path in _paths(argument):
            found[str(path.resolve())] = _file(path, str(path))
    return list(found.values())


def _paths(argument: str) -> list[Path]:
    if Path(argument).is_dir():
        raise SourceInvalid(f"{argument} is a folder; name the files in it: '{argument.rstrip('/')}/*'")
    if Path(argument).exists():
        return [Path(argument)]
    if glob.has_magic(argument):
        matching = [Path(path) for path in sorted(glob.glob(argument, recursive=True)) if Path(path).is_file()]
        if not matching:
            raise SourceInvalid(f"no file matches {argument}")
        return matching
    raise SourceInvalid(f"{argument}: no such file")


def _file(path: Path, name: str) -> File:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise SourceInvalid(f"{name}: {error.strerror}") from error
    for magic, what in _UNREAD.items():
        if start.startswith(magic):
            raise SourceInvalid(
                f"{name} is compressed with {what}; gzip is read, or unpack it: ... | coldspan report -"
            )
    for magic, (form, compression) in _MAGIC.items():
        if start.startswith(magic):
            return File(path, name, form, compression)
    return File(path, name, OTLP)
