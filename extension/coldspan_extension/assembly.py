"""Invocations from what wrapper and platform report. Pure: no clock, no sockets, no environment.

Three sources tell of an invocation, in any order: our own INVOKE event, the wrapper's records, the platform's events.
The wrapper's records come in one order alone, which TRANSITIONS holds.
"""

from coldspan_extension import platform
from coldspan_extension.invocation import Environment, Failure, Invocation, Runtime
from coldspan_extension.platform import PlatformEvent
from coldspan_wrapper import records
from coldspan_wrapper.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STARTED, LOADING, LOADED, WAITING = "started", "loading", "loaded", "waiting"
DELIVERED, HANDLING, HANDLED, RESPONDING, ANSWERED = "delivered", "handling", "handled", "responding", "answered"

TRANSITIONS = {
    (STARTED, records.LOAD_BEGIN): LOADING,
    (LOADING, records.LOAD_END): LOADED,
    (LOADED, records.NEXT_BEGIN): WAITING,
    (WAITING, records.NEXT_END): DELIVERED,
    (DELIVERED, records.HANDLER_BEGIN): HANDLING,
    (DELIVERED, records.RESPONSE_BEGIN): RESPONDING,  # the event could not be decoded
    (HANDLING, records.HANDLER_END): HANDLED,
    (HANDLED, records.RESPONSE_BEGIN): RESPONDING,
    (RESPONDING, records.RESPONSE_END): ANSWERED,
    (ANSWERED, records.NEXT_BEGIN): WAITING,
}

# After a gap (records lost in a full pipe), these tell where the runtime is, whatever came before.
RESUMES = {records.NEXT_BEGIN: WAITING, records.NEXT_END: DELIVERED}

INIT_TOLERANCE_NS = 5_000_000
"""platform.initStart precedes our process; its time is cut to the millisecond, and clocks are read by two processes."""


def advance(state: str, kind: int) -> str:
    """The state after a record of that kind; empty where the record does not belong there."""
    return TRANSITIONS.get((state, kind), "") or RESUMES.get(kind, "")


class Assembly:
    """The open invocations and what is known of the environment."""

    def __init__(self, environment: Environment, process_start: "Callable[[int, int, int], int]") -> None:
        """process_start(pid, at_ns, cpu_ns) is the Unix time at which that process started, seen at `at_ns`."""
        self.environment = environment
        self._lost = 0
        self.notes: list[tuple[str, dict[str, object]]] = []  # warnings to log, event and facts
        self._process_start = process_start
        self._open: list[Invocation] = []
        self._last: Invocation | None = None  # the latest one that was taken; its report is still to come
        self._sequence = 0

    def invoked(self, request_id: str, deadline_ms: int, arn: str, trace_header: str, at_ns: int) -> Invocation:
        """Our INVOKE event. An environment serves one invocation at a time, so older ones are over."""
        invocation = self._find(request_id, deadline_ms)
        for older in self._open:
            if older is not invocation:
                self._end(older, at_ns)
        invocation.invoked_ns = at_ns
        invocation.arn = invocation.arn or arn
        invocation.trace_header = invocation.trace_header or trace_header
        return invocation

    def record(self, record: Record) -> None:
        """One record of the wrapper."""
        if record.kind == records.HELLO:
            began_ns = self._process_start(record.pid, record.number("wall_ns"), record.number("cpu_ns"))
            self.environment.runtime = Runtime(record, began_ns)
            self.environment.runtime.state = STARTED
            return
        runtime = self.environment.runtime
        if runtime is None or runtime.hello.pid != record.pid:
            self._lost += 1  # of a process that said no hello, or of one before a reset
        elif record.kind in _FACTS:
            _FACTS[record.kind](self, runtime, record, runtime.unix_ns(record.monotonic_ns))
        else:
            self._phase(runtime, record)

    def platform(self, event: PlatformEvent) -> None:
        """One event of the Telemetry API. The caller has passed on all records that were written by now: the runtime
        writes that of its response before it asks for the next event, which is what runtimeDone tells of."""
        if event.type in (platform.INIT_START, platform.INIT_REPORT):
            # What the previous process of a reset environment did not live to see is pushed to us.
            if event.type == platform.INIT_REPORT or event.time_ns <= self.environment.began_ns + INIT_TOLERANCE_NS:
                self.environment.init[event.type] = event
            return
        for invocation in (*reversed(self._open), self._last):
            if invocation is not None and event.request_id == invocation.request_id:
                # A second runtimeDone says timeout because an extension held on to its next: the first one is true.
                invocation.platform.setdefault(event.type, event)
                if event.type == platform.RUNTIME_DONE:
                    self._end(invocation, event.time_ns)
                return

    def runtime_ended(self, at_ns: int) -> None:
        """The runtime's process is gone."""
        runtime = self.environment.runtime
        if runtime is not None:
            runtime.ended_ns = at_ns

    def shut_down(self, reason: str, at_ns: int) -> None:
        """The environment ends: whatever is open is over."""
        for invocation in self._open:
            invocation.shutdown_reason = reason
            self._end(invocation, at_ns)

    @property
    def has_over(self) -> bool:
        """Whether take() would return an invocation."""
        return any(invocation.is_over for invocation in self._open)

    def take_lost(self) -> int:
        """How many records were lost since the last call: dropped by the wrapper, or in a place they do not belong."""
        lost, self._lost = self._lost, 0
        return lost

    def take(self) -> list[Invocation]:
        """The invocations that are over, each once, oldest first."""
        over = [invocation for invocation in self._open if invocation.is_over]
        self._open = [invocation for invocation in self._open if not invocation.is_over]
        if over:
            self._last = over[-1]
        return over

    def _find(self, request_id: str, deadline_ms: int) -> Invocation:
        for invocation in self._open:
            if (invocation.request_id, invocation.deadline_ms) == (request_id, deadline_ms):
                return invocation
        self._sequence += 1
        invocation = Invocation(request_id, deadline_ms, self._sequence)
        self._open.append(invocation)
        return invocation

    @staticmethod
    def _end(invocation: Invocation, at_ns: int) -> None:
        if not invocation.is_over:
            invocation.is_over = True
            invocation.over_ns = at_ns

    def _phase(self, runtime: Runtime, record: Record) -> None:
        state = advance(runtime.state, record.kind)
        if not state or (record.kind not in RESUMES and record.invocation != runtime.invocation):
            self._lost += 1
            return
        runtime.state = state
        if record.kind == records.NEXT_END:
            runtime.set_clock(record)
            runtime.invocation = record.invocation
            self._delivered(runtime, record)
        at_ns = runtime.unix_ns(record.monotonic_ns)
        runtime.at.setdefault(record.kind, at_ns)
        if record.kind == records.NEXT_BEGIN:
            runtime.asked_ns = at_ns
            runtime.serving = None
        invocation = runtime.serving
        if invocation is None:
            return
        invocation.at[record.kind] = at_ns
        if record.kind == records.HANDLER_BEGIN:
            invocation.facts = record.pairs("facts")
        elif record.kind == records.RESPONSE_BEGIN:
            invocation.response_size = record.number("size")
            invocation.wrapper_overhead_ns = record.number("overhead_ns")
            invocation.reported = record.text("reported")
        elif record.kind == records.RESPONSE_END:
            invocation.response_problem = record.text("problem")
            invocation.is_over = True

    def _delivered(self, runtime: Runtime, record: Record) -> None:
        invocation = self._find(record.text("request_id"), record.number("deadline_ms"))
        invocation.runtime = runtime
        invocation.asked_ns = runtime.asked_ns
        invocation.arn = record.text("arn") or invocation.arn
        invocation.trace_header = record.text("trace_header") or invocation.trace_header
        runtime.serving = invocation

    def _failed(self, runtime: Runtime, record: Record, at_ns: int) -> None:
        failure = Failure(record, at_ns)
        failures = runtime.failures if runtime.serving is None else runtime.serving.failures
        failures.append(failure)

    def _client(self, runtime: Runtime, record: Record, at_ns: int) -> None:
        runtime.client_seen = True
        runtime.client_version = record.text("version")
        problem = record.text("problem")
        if problem:
            runtime.is_silent = True
            facts: dict[str, object] = {"client": record.text("name"), "version": record.text("version")}
            facts["reason"] = problem
            self.notes.append(("runtime_client_unrecognised", facts))

    def _records_lost(self, runtime: Runtime, record: Record, at_ns: int) -> None:
        self._lost += record.number("count")

    def _disabled(self, runtime: Runtime, record: Record, at_ns: int) -> None:
        runtime.is_silent = True
        self.notes.append(("wrapper_disabled", {"reason": record.text("reason")}))


_FACTS = {
    records.CLIENT: Assembly._client,
    records.ERROR: Assembly._failed,
    records.LOST: Assembly._records_lost,
    records.DISABLED: Assembly._disabled,
}
