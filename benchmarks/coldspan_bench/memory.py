"""Memory from /proc/PID/smaps (proc(5)). Pure.

The kernel's own Pss counts the benchmark's interpreter, and any other Python of the machine, among those that share a
page. In an execution environment only the runtime and the extension do: that is what is computed here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True, slots=True)
class Mapping:
    file: str
    """With its offset; empty for memory without a file."""
    resident: int
    own: int
    """Of these bytes, what only this process can have: no longer, or never, the file's."""


def resident(smaps: str) -> int:
    """Bytes, as if nobody else had any of them."""
    return sum(mapping.resident for mapping in _mappings(smaps))


def proportional(smaps: str, other: str) -> int:
    """Bytes, where pages of the same file are shared with one other process."""
    shared_by_other: dict[str, int] = {}
    for mapping in _mappings(other):
        shared_by_other[mapping.file] = shared_by_other.get(mapping.file, 0) + mapping.resident - mapping.own
    total = 0
    for mapping in _mappings(smaps):
        shareable = mapping.resident - mapping.own
        total += mapping.resident - min(shareable, shared_by_other.get(mapping.file, 0)) // 2
    return total


def _mappings(smaps: str) -> Iterator[Mapping]:
    file, sizes = "", dict[str, int]()
    for line in [*smaps.splitlines(), "end"]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[1] == "kB":
            sizes[name] = int(words[0]) * KIB
        elif "-" in name.split(" ")[0] or line == "end":
            if sizes:
                resident = sizes["Rss"]
                yield Mapping(file, resident, sizes["Anonymous"] if file else resident)
            file, sizes = _file(line), {}


def _file(line: str) -> str:
    """Of "7f00-7f01 r-xp 00001000 fd:00 1234   /lib/libc.so.6": path and offset; empty where there is no inode."""
    words = line.split(None, 5)
    return f"{words[5]}+{words[2]}" if len(words) == 6 and words[4] != "0" else ""
