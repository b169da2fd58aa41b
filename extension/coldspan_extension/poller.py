"""Waits for descriptors and calls back: the one place where the extension blocks."""

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Poller:
    """Descriptors with what to do when each is readable."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def add(self, descriptor: int, callback: "Callable[[], None]") -> None:
        self._callbacks[descriptor] = callback
        self._poll.register(descriptor, select.POLLIN)

    def remove(self, descriptor: int) -> None:
        if self._callbacks.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def wait(self, timeout_ns: "int | None" = None) -> None:
        """Calls back for what is readable, waiting for it up to `timeout_ns`; None is for ever."""
        timeout_ms = None if timeout_ns is None else max(0, -(-timeout_ns // 1_000_000))
        for descriptor, _ in self._poll.poll(timeout_ms):
            callback = self._callbacks.get(descriptor)
            if callback is not None:  # an earlier callback of this round may have removed it
                callback()
