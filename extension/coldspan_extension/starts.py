"""What kind of start an invocation had, from facts to a verdict. Pure.

The rules, the first that applies (docs/architecture.md tells them in words):

    not the environment's first invocation      warm
    init ran inside this invocation             re-init: it delayed this request, whatever the environment's type
    init (or the restore) failed                it delayed the request that it made fail
    provisioned concurrency, managed instances  init was done beforehand: a trace of its own, linked
    SnapStart                                   init was at publish time; the restore delayed the request, or was early
    any other                                   on demand: for this request, or proactive

Whether an init on demand was for this request is seen from when the request came. The best evidence is an arrival time
in the event, if it has one; without it, how long the environment had been ready when the request reached it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MS = 1_000_000

PROACTIVE_AFTER_NS = 1_000 * MS
"""An environment that was ready for longer than this was not initialised for the request: one that was waited for is
handed over within milliseconds."""

CLOCK_TOLERANCE_NS = 50 * MS
"""The arrival time is read from another machine's clock."""

WARM, ON_DEMAND, PROACTIVE, REINIT = "warm", "on-demand", "proactive", "re-init"
SNAP_START, PROVISIONED, MANAGED = "snap-start", "provisioned-concurrency", "lambda-managed-instances"

CHILD, OWN, NOWHERE = "child", "own", "nowhere"
"""Where the span of the init or restore belongs: into the invocation's trace, into a linked one of its own, nowhere."""


class Facts:
    """What is known of a start. Times are Unix ns, 0 where nobody saw them."""

    __slots__ = (
        "began_ns",
        "has_failed",
        "http_arrival_ns",
        "init_type",
        "is_first",
        "phase",
        "queue_arrival_ns",
        "ready_ns",
        "requested_ns",
    )

    def __init__(
        self,
        init_type: str = ON_DEMAND,
        phase: str = "",
        began_ns: int = 0,
        ready_ns: int = 0,
        requested_ns: int = 0,
        http_arrival_ns: int = 0,
        queue_arrival_ns: int = 0,
        is_first: bool = True,
        has_failed: bool = False,
    ) -> None:
        self.init_type = init_type  # AWS_LAMBDA_INITIALIZATION_TYPE, any text
        self.phase = phase  # of platform.initStart; empty if it did not come
        self.began_ns = began_ns  # the init, or the restore where there was one
        self.ready_ns = ready_ns  # the end of it
        self.requested_ns = requested_ns  # the request reached the environment
        self.http_arrival_ns = http_arrival_ns  # the request reached a gateway
        self.queue_arrival_ns = queue_arrival_ns  # the message was sent, be it long before
        self.is_first = is_first  # of this environment
        self.has_failed = has_failed


class Verdict:
    """`is_cold` is faas.coldstart: an init or restore was on this request's path. `reason` is for people."""

    __slots__ = ("is_cold", "kind", "place", "reason")

    def __init__(self, kind: str, is_cold: bool, place: str, reason: str) -> None:
        self.kind = kind
        self.is_cold = is_cold
        self.place = place
        self.reason = reason


def judge(facts: Facts, proactive_after_ns: int = PROACTIVE_AFTER_NS) -> Verdict:
    """The first rule that applies."""
    if not facts.is_first:
        return Verdict(WARM, False, NOWHERE, "the environment had served before")
    if facts.phase == "invoke":
        return Verdict(REINIT, True, CHILD, "initialised anew inside this invocation, after a reset or a failed init")
    if facts.has_failed:
        return Verdict(facts.init_type, True, CHILD, "the start failed, and the request with it")
    if facts.init_type == SNAP_START:
        return _snap_start(facts, proactive_after_ns)
    if facts.init_type in (PROVISIONED, MANAGED):
        return Verdict(facts.init_type, False, OWN, "initialised before any request, as configured")
    return _on_demand(facts, proactive_after_ns)


def _snap_start(facts: Facts, proactive_after_ns: int) -> Verdict:
    if not facts.ready_ns:
        return Verdict(SNAP_START, True, NOWHERE, "restored from a snapshot; when, nobody told")
    gap_ns = facts.requested_ns - facts.ready_ns
    if gap_ns > proactive_after_ns:
        return Verdict(SNAP_START, False, OWN, f"restored {_seconds(gap_ns)} before the request")
    return Verdict(SNAP_START, True, CHILD, "restored from a snapshot for this request")


def _on_demand(facts: Facts, proactive_after_ns: int) -> Verdict:
    if facts.ready_ns:
        for source, arrival_ns in (("request", facts.http_arrival_ns), ("message", facts.queue_arrival_ns)):
            if arrival_ns > facts.ready_ns + CLOCK_TOLERANCE_NS:
                early_ns = arrival_ns - facts.ready_ns
                return Verdict(PROACTIVE, False, OWN, f"ready {_seconds(early_ns)} before the {source} was sent")
    if 0 < facts.http_arrival_ns <= facts.began_ns + CLOCK_TOLERANCE_NS:
        return Verdict(ON_DEMAND, True, CHILD, "the request had arrived before init began")
    gap_ns = facts.requested_ns - facts.ready_ns if facts.ready_ns else 0
    if gap_ns > proactive_after_ns:
        return Verdict(PROACTIVE, False, OWN, f"ready {_seconds(gap_ns)} before the request came")
    return Verdict(ON_DEMAND, True, CHILD, "the request was waiting when init ended")


def arrivals(facts: "Mapping[str, str]") -> "tuple[int, int]":
    """HTTP and queue arrival of the wrapper's facts, Unix ns."""
    http, queue = (facts.get(name, "") for name in ("arrival.http_ms", "arrival.queue_ms"))
    return _milliseconds(http), _milliseconds(queue)


def _milliseconds(text: str) -> int:
    # 13 digits are enough until the year 2286; an event is the caller's and may say anything.
    return int(text) * MS if text.isascii() and text.isdigit() and len(text) <= 13 else 0


def _seconds(ns: int) -> str:
    return f"{ns / 1e9:.1f} s"
