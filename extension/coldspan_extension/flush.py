"""When traces are exported: at the end of an invocation, beside a handler, or later. plan() is pure.

    end         ask for the next event when the response is out and exported. A trace appears at once; the time is
                billed.
    deferred    ask at once. What waits goes out beside the handler of a later invocation, when enough of it waits or
                it is old, or at SHUTDOWN. What is billed is the rest of an export that a short handler does not hide.
    adaptive    like end where invocations are apart: no other may come for long. In a burst like deferred, until what
                waits is due; then at the end of that invocation, or beside its handler if that takes long enough.

Whatever the policy, nobody waits for a collector that fails (breaker.py) or that takes over a second.
"""

from coldspan_extension.config import ADAPTIVE, DEFERRED, END

MS = 1_000_000
SECOND = 1_000 * MS

SLOW_EXPORT_NS = SECOND
MANY, SMALL_MANY = 200, 50
"""Invocations that wait, at most: to make and send their traces takes half a millisecond of CPU time each, and SHUTDOWN
leaves a second or two. The latter where the function has a small share of a CPU."""

DUE_AFTER_NS = 5 * SECOND
SMALL_SHARE = 0.3
SMALL_DUE_AFTER_NS = 30 * SECOND
"""How old a trace may get in a burst, unless OTEL_BSP_SCHEDULE_DELAY says it. A function with a small share of a CPU
pays some 100 ms for an export."""

KNOWN_GAPS = 5
FEWEST_GAPS = 3
"""Of a burst: two invocations close together may be all that there is."""

VCPU_MB = 1769
"""Memory at which Lambda gives one vCPU (Lambda's developer guide, memory)."""


def loads_early(memory_mb: int) -> bool:
    """Whether what delivers is loaded during init: 4 ms of CPU time. Init has a whole vCPU also where an invocation has
    a part of one, and would be billed for up to 14 times as long. 0: unknown."""
    return 0 < memory_mb < VCPU_MB


class Situation:
    """What is known when an invocation begins. Times are ns, 0 where nobody knows."""

    __slots__ = (
        "age_ns",
        "can_export",
        "delay_ns",
        "export_ns",
        "gaps_ns",
        "handler_ns",
        "memory_mb",
        "must_load",
        "policy",
        "waiting",
    )

    def __init__(
        self,
        policy: str = ADAPTIVE,
        gaps_ns: "tuple[int, ...]" = (),
        waiting: int = 0,
        age_ns: int = 0,
        handler_ns: int = 0,
        export_ns: int = 0,
        memory_mb: int = 0,
        delay_ns: int = 0,
        can_export: bool = True,
        must_load: bool = False,
    ) -> None:
        self.policy = policy
        self.gaps_ns = gaps_ns  # between the beginnings of the latest invocations, this one among them
        self.waiting = waiting  # invocations, before this one
        self.age_ns = age_ns  # since the oldest of them ended
        self.handler_ns = handler_ns  # the shortest of the latest invocations, from event to response
        self.export_ns = export_ns  # the latest export
        self.memory_mb = memory_mb
        self.delay_ns = delay_ns  # how old a trace may get, if the user says so
        self.can_export = can_export  # the breaker's word
        self.must_load = must_load  # the sdk lane, which is not loaded yet


class Plan:
    """`beside`: export what waits while the handler runs. `hold`: wait for the response, then export all."""

    __slots__ = ("beside", "hold", "reason")

    def __init__(self, *, beside: bool, hold: bool, reason: str) -> None:
        self.beside = beside
        self.hold = hold
        self.reason = reason


def plan(now: Situation) -> Plan:
    if not now.can_export:
        return Plan(beside=False, hold=False, reason="exports failed, this is a pause")
    if now.policy == END:
        return Plan(beside=False, hold=True, reason="as configured")
    if now.must_load and _is_small(now):
        return Plan(beside=False, hold=True, reason="loading the exporter takes longer than SHUTDOWN gives")
    due = is_due(now)
    if now.policy == DEFERRED:
        return Plan(beside=due, hold=False, reason="due" if due else "nothing is due")
    if now.export_ns > SLOW_EXPORT_NS:
        return Plan(beside=due, hold=False, reason="the collector is slow")
    if not is_burst(now):
        return Plan(beside=False, hold=True, reason="the next one may be long in coming")
    if due and now.handler_ns > 2 * now.export_ns > 0:
        return Plan(beside=True, hold=False, reason="due, and the handler takes long enough")
    return Plan(beside=False, hold=due, reason="due" if due else "the next one is soon")


def is_due(now: Situation) -> bool:
    """Whether what waits should go out with this invocation."""
    many = SMALL_MANY if _is_small(now) else MANY
    return now.waiting > 0 and (now.waiting >= many or now.age_ns >= _due_after(now))


def is_burst(now: Situation) -> bool:
    """Whether another invocation is to be expected before this one's trace is due."""
    gaps = sorted(now.gaps_ns[-KNOWN_GAPS:])
    return len(gaps) >= FEWEST_GAPS and gaps[len(gaps) // 2] < _due_after(now) and now.gaps_ns[-1] < _due_after(now)


def _due_after(now: Situation) -> int:
    return now.delay_ns or (SMALL_DUE_AFTER_NS if _is_small(now) else DUE_AFTER_NS)


def _is_small(now: Situation) -> bool:
    return 0 < now.memory_mb < SMALL_SHARE * VCPU_MB


class History:
    """What invocations were like so far."""

    def __init__(self) -> None:
        self._began_ns = 0
        self._gaps_ns: tuple[int, ...] = ()
        self._handlers_ns: tuple[int, ...] = ()

    def begins(self, at_ns: int) -> None:
        if self._began_ns:
            self._gaps_ns = (*self._gaps_ns, at_ns - self._began_ns)[-KNOWN_GAPS:]
        self._began_ns = at_ns

    def ended(self, took_ns: int) -> None:
        """From event to response."""
        self._handlers_ns = (*self._handlers_ns, took_ns)[-KNOWN_GAPS:]

    @property
    def gaps_ns(self) -> "tuple[int, ...]":
        return self._gaps_ns

    @property
    def handler_ns(self) -> int:
        return min(self._handlers_ns, default=0)
