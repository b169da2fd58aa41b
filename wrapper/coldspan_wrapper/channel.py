"""The wrapper's end of the pipe: never blocks, never raises, never writes into a descriptor that is not ours.

User code may close every descriptor it does not know, open files that get our number, fork, or wipe /tmp. Whatever
happens, the function runs on; what could not be written is counted, and the count is written when there is room.
"""

import posix as os  # not the module that eventlet and others patch: its write would wait for room in the pipe
from _collections import deque  # type: ignore[import-not-found]  # `collections` itself is not loaded yet
from _thread import allocate_lock

from coldspan_wrapper import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque as Deque  # noqa: N812
    from typing import Any

MAX_BACKLOG = 262144
"""Most bytes that wait here for room in the pipe (256 kB); what comes beyond is dropped and counted."""

_HIGH = 1000
"""Preferred descriptor: out of the way of code that closes or counts the low ones (Lambda's limit is 1,024)."""


class Channel:
    """Writes records into the pipe at `path`. Without a pipe (`problem` says why) everything is dropped."""

    def __init__(self, path: str) -> None:
        self.problem = ""
        self.lost = 0
        self._path = path
        self._pid = os.getpid()
        self._sending = allocate_lock()
        self._fresh: Deque[list[bytes] | tuple[Any, ...]] = deque()  # records that no call has looked at yet
        self._waiting: Deque[bytes] = deque()  # parts that wait for room in the pipe
        self._size = 0  # bytes in _waiting
        self.descriptor = -1
        self._identity = (0, 0)
        try:
            self._open()
        except OSError as error:
            self.problem = str(error)

    def keep(self, record: "tuple[Any, ...]") -> None:
        """What records.encode takes, to be encoded and sent with the next write."""
        self._fresh.append(record)

    def write(self, record: "list[bytes]") -> None:
        """Sends what records.encode made. Any thread may call it, and a signal handler or finalizer within a call of
        its own thread: whoever comes while another call is sending leaves the record to that call."""
        self._fresh.append(record)
        while self._fresh and self._sending.acquire(blocking=False):
            try:
                self._send()
            finally:
                self._sending.release()

    def _send(self) -> None:
        while self._fresh:
            self._accept(self._fresh.popleft())
        if not self._usable():
            self.lost += len(self._waiting)
            self._waiting.clear()
            self._size = 0
        elif self._drain() and self.lost:
            self._accept(records.encode(records.LOST, 0, 0, self.lost))
            self.lost = 0
            self._drain()

    def _accept(self, record: "list[bytes] | tuple[Any, ...]") -> None:
        if isinstance(record, tuple):
            record = records.encode(*record)
        size = len(record[0]) if len(record) == 1 else sum(map(len, record))
        if self._size + size > MAX_BACKLOG:
            self.lost += 1
        else:
            self._waiting.extend(record)
            self._size += size

    def _drain(self) -> bool:
        """Writes frames until nothing waits (True) or the pipe is full (False)."""
        while self._waiting:
            data, count = records.frame(self._pid, iter(self._waiting))
            try:
                os.write(self.descriptor, data)
            except BlockingIOError:
                return False
            for _ in range(count):
                self._size -= len(self._waiting.popleft())
        return True

    def _usable(self) -> bool:
        """Whether the descriptor is still our pipe and this is the process that opened it (a fork records nothing)."""
        if self.descriptor < 0 or os.getpid() != self._pid:
            return False
        try:
            if self._identify(os.fstat(self.descriptor)) == self._identity:
                return True
        except OSError:
            pass
        return self._reopen()

    def _reopen(self) -> bool:
        """Opens the pipe anew if it is still the same one at our path; else recording is over."""
        self.descriptor = -1  # closed, or somebody else's by now: not ours to close
        try:
            if self._identify(os.stat(self._path)) == self._identity:
                self._open()
        except OSError as error:
            self.problem = str(error)
        return self.descriptor >= 0

    def _open(self) -> None:
        descriptor = records.open_channel(self._path)
        try:
            os.fstat(_HIGH)  # taken already: stay where we are
        except OSError:
            try:
                high = os.dup2(descriptor, _HIGH, inheritable=False)
                os.close(descriptor)
                descriptor = high
            except OSError:
                pass  # a lower limit on descriptors
        self.descriptor = descriptor
        self._identity = self._identify(os.fstat(descriptor))

    @staticmethod
    def _identify(status: os.stat_result) -> "tuple[int, int]":
        return status.st_dev, status.st_ino
