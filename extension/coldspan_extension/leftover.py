"""What an init that is killed leaves to the process after it.

Lambda kills everything when an init runs out of its 10 s: no extension is told, and the pipe dies with its readers. But
/tmp is kept, and the init is repeated there. So an extension that still waits for its runtime after a second writes
what it has read so far to a file beside the pipe, and all that follows; it removes the file when init is over. A file
that an extension finds when it starts is of an init that was killed: the trace of that one is made from it.

    file   "coldspan init 1\\n" · u64 the extension's process start, its registration, its first next (Unix ns,
           little-endian) · bytes of the pipe
"""

import posix as os

from coldspan_extension import starts
from coldspan_extension.assembly import Assembly
from coldspan_extension.invocation import Environment
from coldspan_wrapper import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from coldspan_extension.platform import PlatformEvent

MAGIC = b"coldspan init 1\n"
HEAD = len(MAGIC) + 3 * 8
MAX_SIZE = 1_048_576
"""Bytes; what does not fit is not kept."""

INIT_LIMIT_NS, AHEAD_LIMIT_NS = 10_000_000_000, 130_000_000_000
"""Of an init on demand, and of one ahead of requests, which a longer timeout of the function's prolongs (Lambda's
developer guide, execution environment lifecycle)."""


class Leftover:
    """The file of the init that is going on. A fault of the file system costs the file."""

    def __init__(self, path: str, environment: Environment, so_far: "Iterable[bytes]") -> None:
        self._path = path
        self._size = 0
        times = (environment.began_ns, environment.registered_ns, environment.next_asked_ns)
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            self._descriptor = -1
        self.add(MAGIC + b"".join([time.to_bytes(8, "little") for time in times]) + b"".join(so_far))

    def add(self, data: bytes) -> None:
        """Bytes of the pipe, as they were read."""
        self._size += len(data)
        if self._descriptor >= 0 and self._size <= MAX_SIZE:
            try:
                os.write(self._descriptor, data)
            except OSError:
                self.remove()

    def remove(self) -> None:
        """Init is over, one way or the other, and whoever follows has no need of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            _unlink(self._path)


def take(path: str) -> bytes:
    """What the process before us left; empty if nothing, or if it is not ours to read. The file is gone then."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, MAX_SIZE)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
        _unlink(path)


def environment_of(left: bytes, told: "Iterable[PlatformEvent]", init_type: str, until_ns: int) -> Environment | None:
    """The environment as its extension had seen it; None if the file is no such thing. `told` is what the platform
    told of earlier processes, `until_ns` when the process that reads this began."""
    if len(left) < HEAD or not left.startswith(MAGIC):
        return None
    environment = Environment(init_type)
    environment.began_ns, environment.registered_ns, environment.next_asked_ns = (
        int.from_bytes(left[at : at + 8], "little") for at in range(len(MAGIC), HEAD, 8)
    )
    # The process is gone, and another may have its id: what it had used of the CPU tells when it began.
    assembly = Assembly(environment, lambda pid, at_ns, cpu_ns: at_ns - cpu_ns)
    for record in records.Decoder().feed(left[HEAD:]):
        assembly.record(record)
    for event in told:
        if event.time_ns <= until_ns:
            assembly.platform(event)
    limit_ns = INIT_LIMIT_NS if init_type == starts.ON_DEMAND else AHEAD_LIMIT_NS
    assembly.shut_down("timeout", min(environment.began_ns + limit_ns, until_ns))
    return environment


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
