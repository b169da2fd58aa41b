"""SIGINT and SIGTERM end a run in order: its processes first."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from coldspan_lab.errors import LabError

T = TypeVar("T")


class Interrupted(Exception):
    """A signal came, and the work has ended."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def run(work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run, but that the first signal cancels the work; further ones are ignored, since they would keep it from
    ending its processes. Raises Interrupted."""
    return asyncio.run(_until_signalled(work))


async def _until_signalled(work: Coroutine[Any, Any, T]) -> T:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        received.append(number)
        if len(received) == 1:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not received:
            raise LabError("the local Lambda service gave up an invocation") from None
        raise Interrupted(received[0]) from None
