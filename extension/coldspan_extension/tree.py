"""The layer's folder `coldspan`, of which this package is a part; outside a layer there is nothing of it to find."""

import posix

ROOT = __file__.rpartition("/coldspan_extension/")[0].rpartition("/")[0]


def path(name: str) -> str:
    return f"{ROOT}/{name}"


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
