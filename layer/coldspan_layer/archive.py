"""A tree as a zip that is the same, byte for byte, whenever and wherever it is made."""

import stat
import zipfile
from pathlib import Path

OLDEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
CREATED_ON_UNIX = 3  # only then are the upper bits of external_attr a file mode
COMPRESSION_LEVEL = 9

EXECUTABLE = 0o755
PLAIN = 0o644


def write(tree: Path, archive: Path) -> None:
    """Zips the files below `tree`, sorted by name; the executable ones are 0755, the others 0644."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL) as zipped:
        for path in files(tree):
            entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), OLDEST_ZIP_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = CREATED_ON_UNIX
            entry.external_attr = (stat.S_IFREG | mode(path)) << 16
            zipped.writestr(entry, path.read_bytes(), compresslevel=COMPRESSION_LEVEL)


def files(tree: Path) -> list[Path]:
    return sorted((path for path in tree.rglob("*") if path.is_file()), key=Path.as_posix)


def mode(path: Path) -> int:
    return EXECUTABLE if path.stat().st_mode & stat.S_IXUSR else PLAIN
