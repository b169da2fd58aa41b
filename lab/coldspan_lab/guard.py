"""Starts the guard, which ends the environments' processes if the lab dies before it has done so."""

import asyncio
import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path

from coldspan_lab import guard_program


class Guard:
    """Used with `async with`; on leaving it, whatever is left of the environments is ended."""

    async def __aenter__(self) -> "Guard":
        program = guard_program.__file__
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", "-B", program),
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the lab
        )
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stdin.close()
        await self._process.wait()

    def watch(self, channel: Path, cgroups: Iterable[Path]) -> None:
        """An environment begins."""
        with contextlib.suppress(ConnectionError):  # somebody has killed it; then nobody guards
            self._stdin.write(("\t".join(map(str, [channel, *cgroups])) + "\n").encode())
