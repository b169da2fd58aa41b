"""Things that are dear to make, made once for each checkout, below .cache/, by whichever test process comes first."""

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
CACHE = CHECKOUT / ".cache"


def once(name: str, make: Callable[[Path], object]) -> Path:
    """The path .cache/<name>, made by `make` if it is not there yet; what `make` left behind when it failed is removed.

    `make` gets that very path, since a virtual environment cannot be moved; a marker beside it says that it is whole.
    """
    path = CACHE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    marker = path.with_name(f"{path.name}.ready")
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (marker.exists() and path.exists()):
            shutil.rmtree(path, ignore_errors=True)
            make(path)
            marker.touch()
    return path


def digest(*parts: str | bytes) -> str:
    """A short key for what the parts say."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode() if isinstance(part, str) else part)
        whole.update(b"\0")
    return whole.hexdigest()[:12]
