"""Exports in a thread of its own, so that nothing that hangs there (a slow import, a resolver, a dead peer) can hold
the extension's next, and with it the environment.

The loop submits one batch at a time and waits for it up to its own limit; whatever comes later is told by a byte in a
pipe, at the next occasion.
"""

import _thread
import posix as os
import time

from coldspan_extension.export import Exported, Exporter, Failed
from coldspan_extension.span import Attributes, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Batch:
    """Spans on their way out, and what became of them."""

    __slots__ = ("deadline_ns", "load_ns", "outcome", "resource", "spans", "took_ns")

    def __init__(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> None:
        self.resource = resource
        self.spans = spans
        self.deadline_ns = deadline_ns  # Unix time
        self.outcome: Exported | Failed = Failed(True, "not sent yet")
        self.load_ns = 0  # until the exporter was there: of the first batch
        self.took_ns = 0  # all in all


class Worker:
    """`is_busy` from submit() until collect() has returned the batch."""

    def __init__(self, make_exporter: "Callable[[], Exporter]") -> None:
        self.is_busy = False
        self._make_exporter = make_exporter
        self._exporter: Exporter | None = None
        self._batch: Batch | None = None
        self._wanted = _thread.allocate_lock()
        self._wanted.acquire()
        self._done, self._tell = os.pipe()
        os.set_blocking(self._done, False)
        _thread.start_new_thread(self._run, ())

    def fileno(self) -> int:
        """Readable when a batch is done."""
        return self._done

    def submit(self, batch: Batch) -> None:
        assert not self.is_busy
        self.is_busy = True
        self._batch = batch
        self._wanted.release()

    def collect(self) -> Batch | None:
        """The batch that is done, if one is."""
        try:
            os.read(self._done, 64)
        except BlockingIOError:
            return None
        self.is_busy = False
        return self._batch

    @property
    def on_their_way(self) -> list[Span]:
        return self._batch.spans if self.is_busy and self._batch is not None else []

    @property
    def is_loaded(self) -> bool:
        return self._exporter is not None

    def load(self) -> None:
        """Makes the exporter now, in the caller's thread, while nobody waits."""
        if self._exporter is None and not self.is_busy:
            try:
                self._exporter = self._make_exporter()
            except Exception:
                pass  # it fails again with the first batch, which tells of it

    def close_idle(self) -> None:
        if self._exporter is not None and not self.is_busy:
            self._exporter.close_idle()

    def _run(self) -> None:
        while True:
            self._wanted.acquire()
            batch = self._batch
            assert batch is not None
            began_ns = time.monotonic_ns()
            try:
                if self._exporter is None:
                    self._exporter = self._make_exporter()
                    batch.load_ns = time.monotonic_ns() - began_ns
                batch.outcome = self._exporter.export(batch.resource, batch.spans, batch.deadline_ns)
            except Exception as fault:  # a dependency's fault must not end the thread; it is logged as the outcome
                batch.outcome = Failed(False, f"{type(fault).__name__}: {fault}")
            batch.took_ns = time.monotonic_ns() - began_ns
            os.write(self._tell, b".")
