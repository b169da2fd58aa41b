"""A bar on stderr for what takes more than a second, where stderr is a terminal."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

AFTER_S = 1.0


class Bar:
    """Called with what is done and how much of it, from 0 to 1; also from another thread."""

    def __init__(self, console: Console) -> None:
        self._began = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=1.0)
        self._shown = False

    def __call__(self, what: str, share: float) -> None:
        if not self._shown and time.monotonic() - self._began > AFTER_S:
            self._shown = True
            self._progress.start()
        self._progress.update(self._task, description=what, completed=share)

    def close(self) -> None:
        """Off the screen; what then takes another AFTER_S brings it back."""
        if self._shown:
            self._progress.stop()
        self._shown, self._began = False, time.monotonic()


@contextmanager
def bar(stream: TextIO) -> Iterator[Bar]:
    shown = Bar(Console(file=stream))
    try:
        yield shown
    finally:
        shown.close()
