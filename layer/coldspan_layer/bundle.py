"""The bytecode of the extension's modules in one file, which coldspan_extension.bundle imports them from.

    magic number of the Python it is for, 4 bytes
    size of the index, 4 bytes, little-endian
    index: a dict by name of module: path of its source below coldspan/, where its code begins, size of its code
    code of each module as in its .pyc

The index is written by marshal in version 2, which every Python 3 reads and writes alike: the builder's need not be the
layer's.
"""

import marshal
import shutil
from collections.abc import Iterator
from pathlib import Path

PLACE = "extension/coldspan_extension/__pycache__/bundle"
MAGIC_BYTES, HEADER_BYTES = 4, 16  # of a .pyc (PEP 552)


def write(ours: Path) -> None:
    """In the place of the extension's .pyc files. `ours` is the layer's folder `coldspan`, compiled."""
    compiled = {path.relative_to(ours): _compiled(path) for path in _sources(ours)}
    codes = [content[HEADER_BYTES:] for content in compiled.values()]
    (magic,) = {content[:MAGIC_BYTES] for content in compiled.values()}
    size = len(_index(list(compiled), codes, 0))  # a number takes the same space whatever it is
    index = _index(list(compiled), codes, MAGIC_BYTES + 4 + size)
    for folder in list((ours / "extension").rglob("__pycache__")):
        shutil.rmtree(folder)
    (ours / PLACE).parent.mkdir()
    (ours / PLACE).write_bytes(magic + size.to_bytes(4, "little") + index + b"".join(codes))


def _index(paths: list[Path], codes: list[bytes], begin: int) -> bytes:
    places: dict[str, tuple[str, int, int]] = {}
    for path, code in zip(paths, codes, strict=True):
        name = ".".join(path.with_suffix("").parts[1:]).removesuffix(".__init__")
        places[name] = path.as_posix(), begin, len(code)
        begin += len(code)
    return marshal.dumps(places, 2)


def _compiled(source: Path) -> bytes:
    (found,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
    return found.read_bytes()


def _sources(ours: Path) -> Iterator[Path]:
    """All of the extension, and what it imports of the wrapper."""
    yield from sorted((ours / "extension").rglob("*.py"))
    for name in ("__init__.py", "records.py"):
        yield ours / "wrapper" / "coldspan_wrapper" / name
