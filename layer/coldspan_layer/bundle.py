"""The bytecode of the extension's modules in one file, which coldspan_extension.bundle imports them from.

    the magic number of the Python it is for · marshal: a dict, by name of module, of the path of its source below
    coldspan/ and its code as marshal writes it, in bytes: only what is imported is read

In version 2 of marshal, which every Python 3 reads and writes alike: the builder's Python need not be the layer's.
"""

import marshal
import shutil
from collections.abc import Iterator
from pathlib import Path

PLACE = "extension/coldspan_extension/__pycache__/bundle"
MAGIC_BYTES, HEADER_BYTES = 4, 16  # PEP 552


def write(ours: Path) -> None:
    """In the place of the extension's .pyc files. `ours` is the layer's folder `coldspan`, compiled."""
    modules: dict[str, tuple[str, bytes]] = {}
    for source in _sources(ours):
        path = source.relative_to(ours)
        (compiled,) = source.parent.glob(f"__pycache__/{source.stem}.*.pyc")
        content = compiled.read_bytes()
        magic = content[:MAGIC_BYTES]
        name = ".".join(path.with_suffix("").parts[1:]).removesuffix(".__init__")
        modules[name] = path.as_posix(), content[HEADER_BYTES:]
    for folder in list((ours / "extension").rglob("__pycache__")):
        shutil.rmtree(folder)
    (ours / PLACE).parent.mkdir()
    (ours / PLACE).write_bytes(magic + marshal.dumps(modules, 2))


def _sources(ours: Path) -> Iterator[Path]:
    """All of the extension, and what it imports of the wrapper."""
    yield from sorted((ours / "extension").rglob("*.py"))
    for name in ("__init__.py", "records.py"):
        yield ours / "wrapper" / "coldspan_wrapper" / name
