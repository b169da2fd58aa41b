"""Invocations from what wrapper and platform report. Pure: no clock, no sockets, no environment.

Three sources tell of an invocation, in any order: our own INVOKE event, the wrapper's records, the platform's events.
The wrapper's records come in one order alone, which TRANSITIONS holds.
"""

from coldspan_extension import platform, starts, timing
from coldspan_extension.invocation import Environment, Failure, Invocation, Runtime
from coldspan_extension.platform import PlatformEvent
from coldspan_wrapper import records
from coldspan_wrapper.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STARTED, LOADING, LOADED, PARKED, RESTORED = "started", "loading", "loaded", "parked", "restored"
WAITING = "waiting"
DELIVERED, HANDLING, HANDLED, RESPONDING, ANSWERED = "delivered", "handling", "handled", "responding", "answered"
STREAMING, STREAMED = "streaming", "streamed"
"""Of a response that is streamed: while the handler goes on, and after it."""

TRANSITIONS = {
    (STARTED, records.LOAD_BEGIN): LOADING,
    (LOADING, records.LOAD_END): LOADED,
    (LOADED, records.NEXT_BEGIN): WAITING,
    (LOADED, records.RESTORE_BEGIN): PARKED,
    (PARKED, records.RESTORE_END): RESTORED,
    (RESTORED, records.NEXT_BEGIN): WAITING,
    (WAITING, records.NEXT_END): DELIVERED,
    (DELIVERED, records.HANDLER_BEGIN): HANDLING,
    (DELIVERED, records.RESPONSE_BEGIN): RESPONDING,  # the event could not be decoded
    (HANDLING, records.HANDLER_BEGIN): HANDLING,  # a marshaller of the user's that calls ours: it knows the event
    (HANDLING, records.HANDLER_END): HANDLED,
    (HANDLED, records.RESPONSE_BEGIN): RESPONDING,
    (RESPONDING, records.RESPONSE_END): ANSWERED,
    (HANDLING, records.STREAM_BEGIN): STREAMING,
    (STREAMING, records.HANDLER_END): STREAMED,
    (HANDLED, records.STREAM_BEGIN): STREAMED,  # it is empty
    (STREAMED, records.STREAM_END): ANSWERED,
    (ANSWERED, records.NEXT_BEGIN): WAITING,
}

# After a gap (records lost in a full pipe), these tell where the runtime is, whatever came before.
RESUMES = {records.NEXT_BEGIN: WAITING, records.NEXT_END: DELIVERED}

AS_PHASE = {records.STREAM_BEGIN: records.RESPONSE_BEGIN, records.STREAM_END: records.RESPONSE_END}
"""A streamed response is the same phase; that its times overlap the handler's is told by Invocation.is_streamed."""

ATTEMPTS_APART_NS = 1_000_000_000
"""An asynchronous invocation is tried again a minute later, with the same request id: an event from before belongs to
the attempt before."""

CLOCK_TOLERANCE_NS = 5_000_000
"""Lambda's times are cut to the millisecond, and its clock is read by another process."""

START_PRECEDES_NS = 2_000_000_000
"""How long before our process Lambda's init may have started, at most: it starts the extensions first of all."""

MAX_UNCLAIMED = 8
"""Invocations of which only the platform told so far; there is one at a time."""


RECENT = 4
"""Invocations whose platform.report is still waited for. Lambda gathers events for 25 ms after the thaw: that is later
than the end of a fast invocation, so the report of one often comes in the next but one."""

MAX_EARLIER = 32
"""Events of earlier processes that are kept: an init has three."""


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
        self._recent: list[Invocation] = []  # the latest that were taken; their reports may still be to come
        self._sequence = 0
        self._unclaimed: dict[str, dict[str, PlatformEvent]] = {}  # by request id and type, from platform.start on
        self.earlier: list[PlatformEvent] = []  # that are, or may be, of the process before a reset

    def invoked(self, request_id: str, deadline_ms: int, arn: str, trace_header: str, at_ns: int) -> Invocation:
        """Our INVOKE event. An environment serves one invocation at a time, so older ones are over. Of one that the
        wrapper did not see, the platform's word for its end may still be on its way."""
        self.environment.has_served = True
        invocation = self._find(request_id, deadline_ms)
        # Records may be ahead of the events of a burst: those of a later invocation say nothing of its end.
        older = [each for each in self._open if each.sequence < invocation.sequence]
        for at, each in enumerate(older):
            each.is_followed = True
            each.over_ns = each.over_ns or at_ns
            if records.NEXT_END in each.at or len(older) - at > RECENT:
                self._end(each, at_ns)
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
        if event.type == platform.INIT_START:
            self._init_started(event)
        elif event.time_ns < self.environment.began_ns:
            # What the previous process of a reset environment did not live to see is pushed to us.
            self._keep_earlier(event)
            self._forget_stale_start()
        elif event.type in _OF_ENVIRONMENT:
            self.environment.platform.setdefault(event.type, event)
        elif event.request_id:
            self._of_invocation(event)

    def _init_started(self, event: PlatformEvent) -> None:
        """Takes the latest init that began before our process, and not so long before that it was another's."""
        self._keep_earlier(event)
        began_ns, known = self.environment.began_ns, self.environment.platform.get(platform.INIT_START)
        is_ours = began_ns - START_PRECEDES_NS <= event.time_ns <= began_ns + CLOCK_TOLERANCE_NS
        if is_ours and (known is None or event.time_ns > known.time_ns):
            self.environment.platform[platform.INIT_START] = event
            self._forget_stale_start()

    def _forget_stale_start(self) -> None:
        start = self.environment.platform.get(platform.INIT_START)
        ends = [event.time_ns for event in self.earlier if event.type != platform.INIT_START]
        if start is not None and start.time_ns < max(ends, default=0):
            del self.environment.platform[platform.INIT_START]

    def _keep_earlier(self, event: PlatformEvent) -> None:
        self.earlier = [*self.earlier[-MAX_EARLIER + 1 :], event]

    def _of_invocation(self, event: PlatformEvent) -> None:
        for invocation in (*reversed(self._open), *reversed(self._recent)):
            if _is_of(event, invocation):
                # A second runtimeDone says timeout because an extension held on to its next: the first one is true.
                invocation.platform.setdefault(event.type, event)
                if event.type == platform.RUNTIME_DONE:
                    self._end(invocation, event.time_ns)
                return
        if event.type == platform.START:
            self._unclaimed.setdefault(event.request_id, {})
            if len(self._unclaimed) > MAX_UNCLAIMED:
                del self._unclaimed[next(iter(self._unclaimed))]
        if event.request_id in self._unclaimed:
            self._unclaimed[event.request_id].setdefault(event.type, event)

    def runtime_ended(self, at_ns: int) -> None:
        """The runtime's process is gone."""
        runtime = self.environment.runtime
        if runtime is not None:
            runtime.ended_ns = at_ns

    def shut_down(self, reason: str, at_ns: int) -> None:
        """The environment ends: whatever is open is over."""
        self.environment.ended_ns = at_ns
        self.environment.shutdown_reason = reason
        if not self._sequence and self.environment.init_type != starts.MANAGED:
            self._claim_refused()
        for invocation in self._open:
            if not invocation.is_followed:
                invocation.shutdown_reason = reason
            self._end(invocation, at_ns)

    def _claim_refused(self) -> None:
        """An init that failed inside an invocation: no extension gets its INVOKE, the platform alone tells of it."""
        if not self._unclaimed:
            return
        request_id, events = list(self._unclaimed.items())[-1]
        start = events[platform.START]
        tracing = start.record.get("tracing")
        invocation = self._find(request_id, 0)
        invocation.arn = start.text("functionArn")
        invocation.trace_header = str(tracing.get("value", "")) if isinstance(tracing, dict) else ""
        if platform.RUNTIME_DONE in events:
            self._end(invocation, events[platform.RUNTIME_DONE].time_ns)

    @property
    def is_told(self) -> bool:
        """Whether the platform told of everything that ended without the wrapper's word, as far as it will."""
        if self._open:
            return all(platform.RUNTIME_DONE in invocation.platform for invocation in self._open)
        environment = self.environment
        phase = timing.phase_of(environment)
        if self._sequence or timing.runtime_ready(environment, phase):
            return True
        if phase == timing.RESTORE or environment.phase == timing.REPEATED:
            return any(platform.RUNTIME_DONE in events for events in self._unclaimed.values())
        return platform.INIT_REPORT in environment.platform

    def take_lost(self) -> int:
        """How many records were lost since the last call: dropped by the wrapper, or in a place they do not belong."""
        lost, self._lost = self._lost, 0
        runtime = self.environment.runtime
        return lost + (runtime.imports.take_lost() if runtime is not None else 0)

    def take(self) -> list[Invocation]:
        """The invocations that are over, each once, oldest first."""
        over = [invocation for invocation in self._open if invocation.is_over]
        self._open = [invocation for invocation in self._open if not invocation.is_over]
        self._recent = (self._recent + over)[-RECENT:]
        return over

    def _find(self, request_id: str, deadline_ms: int) -> Invocation:
        for invocation in (*self._open, *self._recent):  # one that was taken may still be told of
            if (invocation.request_id, invocation.deadline_ms) == (request_id, deadline_ms):
                return invocation
        self._sequence += 1
        invocation = Invocation(request_id, deadline_ms, self._sequence)
        invocation.platform = self._unclaimed.pop(request_id, {})
        self._unclaimed.clear()  # of invocations before this one, which nobody will ask for
        self._open.append(invocation)
        return invocation

    @staticmethod
    def _end(invocation: Invocation, at_ns: int) -> None:
        if not invocation.is_over:
            invocation.is_over = True
            invocation.over_ns = invocation.over_ns or at_ns

    def _phase(self, runtime: Runtime, record: Record) -> None:
        state = advance(runtime.state, record.kind)
        if not state or (record.kind not in RESUMES and record.invocation != runtime.invocation):
            self._lost += 1
            return
        runtime.state = state
        if "wall_ns" in record.fields:
            runtime.set_clock(record)
        if record.kind == records.NEXT_END:
            runtime.invocation = record.invocation
            self._delivered(runtime, record)
        at_ns = runtime.unix_ns(record.monotonic_ns)
        runtime.at.setdefault(record.kind, at_ns)
        if record.kind == records.NEXT_BEGIN:
            runtime.asked_ns = at_ns
            if runtime.serving is not None:
                runtime.serving.returned_ns = at_ns
            runtime.serving = None
        invocation = runtime.serving
        if invocation is None:
            return
        invocation.at.setdefault(AS_PHASE.get(record.kind, record.kind), at_ns)
        self._of_phase(invocation, record)

    @staticmethod
    def _of_phase(invocation: Invocation, record: Record) -> None:
        """What the record tells beside its time."""
        if record.kind == records.HANDLER_BEGIN:
            invocation.facts = record.pairs("facts") or invocation.facts
        elif record.kind == records.RESPONSE_BEGIN:
            invocation.response_size = record.number("size")
            invocation.wrapper_overhead_ns = record.number("overhead_ns")
            invocation.reported = record.text("reported")
        elif record.kind == records.RESPONSE_END:
            invocation.response_problem = record.text("problem")
            invocation.is_over = True
        elif record.kind == records.STREAM_BEGIN:
            invocation.is_streamed = records.HANDLER_END not in invocation.at
            invocation.wrapper_overhead_ns = record.number("overhead_ns")
        elif record.kind == records.STREAM_END:
            invocation.response_size = record.number("size")
            invocation.response_problem = record.text("problem")
            invocation.reported = record.text("reported")
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
        problem = record.text("problem")
        if problem:
            runtime.is_silent = True
            facts: dict[str, object] = {"client": record.text("name"), "version": record.text("version")}
            facts["reason"] = problem
            self.notes.append(("runtime_client_unrecognised", facts))

    def _imported(self, runtime: Runtime, record: Record, at_ns: int) -> None:
        runtime.imports.add(record.text("lines"), runtime.unix_ns(0))

    def _records_lost(self, runtime: Runtime, record: Record, at_ns: int) -> None:
        self._lost += record.number("count")

    def _disabled(self, runtime: Runtime, record: Record, at_ns: int) -> None:
        runtime.is_silent = True
        self.notes.append(("wrapper_disabled", {"reason": record.text("reason")}))


_OF_ENVIRONMENT = (
    platform.INIT_RUNTIME_DONE,
    platform.INIT_REPORT,
    platform.RESTORE_START,
    platform.RESTORE_RUNTIME_DONE,
    platform.RESTORE_REPORT,
)

_FACTS = {
    records.CLIENT: Assembly._client,
    records.ERROR: Assembly._failed,
    records.IMPORTS: Assembly._imported,
    records.LOST: Assembly._records_lost,
    records.DISABLED: Assembly._disabled,
}


def _is_of(event: PlatformEvent, invocation: Invocation) -> bool:
    return event.request_id == invocation.request_id and event.time_ns >= invocation.invoked_ns - ATTEMPTS_APART_NS
