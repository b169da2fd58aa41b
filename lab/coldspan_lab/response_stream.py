"""A response on its way from the runtime to its caller, piece by piece: a slow caller slows the runtime down."""

import asyncio
from dataclasses import dataclass

from coldspan_lab.http import Pieces


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """What a caller learns when there are no more pieces."""

    error_type: str | None = None
    """None where the response is complete."""
    error: bytes = b""
    """JSON, as the runtime or the platform said it."""
    log_tail: bytes = b""
    """The last 4 KB of the invocation's log, where it was asked for."""


class ResponseStream:
    """One writer, one reader. It holds one piece at a time, so that memory stays flat."""

    def __init__(self, content_type: str) -> None:
        """`content_type` as the runtime gave it."""
        self.content_type = content_type
        self.ended = False
        self.outcome = StreamEnd()
        """Valid when `pieces` is through."""
        self._queue: asyncio.Queue[bytes | StreamEnd] = asyncio.Queue()
        self._wanted = asyncio.Event()
        self._abandoned = False

    async def write(self, piece: bytes) -> None:
        """Returns when the caller has taken it and wants more, or is gone."""
        if self._abandoned or self.ended:
            return
        self._wanted.clear()
        self._queue.put_nowait(piece)
        await self._wanted.wait()

    def end(self, outcome: StreamEnd) -> None:
        """The first end stays."""
        if not self.ended:
            self.ended = True
            self._queue.put_nowait(outcome)

    def abandon(self) -> None:
        """The caller is gone. It does not stop the function: what is written from here on goes nowhere."""
        self._abandoned = True
        self._wanted.set()

    async def pieces(self) -> Pieces:
        """To be closed by whoever does not read to the end."""
        try:
            while isinstance(piece := await self._queue.get(), bytes):
                yield piece
                self._wanted.set()
            self.outcome = piece
        finally:
            self.abandon()
