"""A process of the environment: in a group of its own, its output read line by line, its exit watched."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

MAX_LINE = 262_144
"""A longer line is cut into lines of this size, bytes."""
READ_SIZE = 65_536


class Process:
    """A started program. Everything is called on the event loop."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        spawn: Callable[[Callable[[], "subprocess.Popen[bytes]"]], "subprocess.Popen[bytes]"],
        on_line: Callable[[str], None],
        on_exit: Callable[["Process"], None],
    ) -> None:
        """`spawn` calls its argument where the process shall live. `on_exit` comes after the last of its lines.

        Raises OSError where it cannot be started.
        """
        loop = asyncio.get_running_loop()
        self._on_line = on_line
        self._on_exit = on_exit
        self._unfinished = b""
        self.exited: asyncio.Future[int] = loop.create_future()
        """The exit status; negative is the signal that killed it."""
        self._output, write_end = os.pipe()
        try:
            self._popen = spawn(
                lambda: subprocess.Popen(
                    command,
                    env=environment,
                    cwd=directory,
                    stdin=subprocess.DEVNULL,
                    stdout=write_end,
                    stderr=write_end,  # one pipe, so that the order of the lines is true
                    start_new_session=True,
                )
            )
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(write_end)
        self.pid = self._popen.pid
        os.set_blocking(self._output, False)
        self._pidfd = os.pidfd_open(self.pid)
        loop.add_reader(self._output, self.read_output)
        loop.add_reader(self._pidfd, self._reap)

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    def peak_memory_mib(self) -> int:
        """The most that was resident; 0 once it has ended."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
        return int(peak) // 1024

    def signal_group(self, number: signal.Signals) -> None:
        """Signals the process and those of its children that stayed in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def exited_within(self, timeout_s: float) -> bool:
        await asyncio.wait([self.exited], timeout=max(0.0, timeout_s))
        return self.exited.done()

    def read_output(self) -> None:
        """Passes on the lines that were written so far."""
        while self._output >= 0:
            try:
                data = os.read(self._output, READ_SIZE)
            except BlockingIOError:
                return
            if not data:
                self.close()
                return
            *lines, self._unfinished = (self._unfinished + data).split(b"\n")
            for line in lines:
                self._pass_on(line)
            while len(self._unfinished) > MAX_LINE:
                self._pass_on(self._unfinished[:MAX_LINE])
                self._unfinished = self._unfinished[MAX_LINE:]

    def close(self) -> None:
        """Stops reading, even where a left-behind child still holds the other end."""
        if self._output >= 0:
            asyncio.get_running_loop().remove_reader(self._output)
            os.close(self._output)
            self._output = -1
        if self._unfinished:
            line, self._unfinished = self._unfinished, b""
            self._pass_on(line)

    def _pass_on(self, line: bytes) -> None:
        self._on_line(line.decode("utf-8", "replace").removesuffix("\r"))

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.read_output()
        self.exited.set_result(self._popen.wait())
        self._on_exit(self)


def describe_exit(status: int) -> str:
    """As Go's os/exec says it, which Lambda's messages have: "exit status 3", "signal: killed"."""
    if status >= 0:
        return f"exit status {status}"
    name = signal.strsignal(-status) or f"signal {-status}"
    return f"signal: {name.lower()}"
