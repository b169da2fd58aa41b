"""What the layer weighs, by part, and Lambda's limit."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coldspan_layer import archive
from coldspan_layer.errors import BuildError

# "Function and all layers, unzipped: 250 MB" (Lambda quotas), where a MB is 1024 * 1024 bytes.
UNZIPPED_LIMIT_BYTES = 262_144_000

# By the first that fits; what fits none is the entry points that Lambda starts.
PARTS = {
    "wrapper": "coldspan/wrapper/",
    "extension": "coldspan/extension/",
    "dependencies": "coldspan/vendor/",
    "certificates": "coldspan/trust/",
    "entry points": "",
}


@dataclass(frozen=True, slots=True)
class Part:
    """zipped_bytes is None for a layer that was not zipped."""

    name: str
    files: int
    unzipped_bytes: int
    zipped_bytes: int | None


def of_tree(tree: Path) -> list[Part]:
    """Raises BuildError when the tree is larger than Lambda takes."""
    weights = [(path.relative_to(tree).as_posix(), path.stat().st_size, None) for path in archive.files(tree)]
    unzipped = sum(size for _, size, _ in weights)
    if unzipped > UNZIPPED_LIMIT_BYTES:
        raise BuildError(
            f"the layer is {unzipped:,} bytes unzipped; Lambda takes at most {UNZIPPED_LIMIT_BYTES:,} bytes, "
            "all layers and the function together"
        )
    return _by_part(weights)


def of_zip(zipped: Path) -> list[Part]:
    with zipfile.ZipFile(zipped) as opened:
        return _by_part((entry.filename, entry.file_size, entry.compress_size) for entry in opened.infolist())


def _by_part(weights: Iterable[tuple[str, int, int | None]]) -> list[Part]:
    """Of (name, unzipped bytes, zipped bytes or None) for each file."""
    members: dict[str, list[tuple[int, int | None]]] = {name: [] for name in PARTS}
    for file, unzipped, zipped in weights:
        part = next(name for name, prefix in PARTS.items() if file.startswith(prefix))
        members[part].append((unzipped, zipped))
    return [
        Part(name, len(found), sum(unzipped for unzipped, _ in found), _sum(zipped for _, zipped in found))
        for name, found in members.items()
    ]


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None
