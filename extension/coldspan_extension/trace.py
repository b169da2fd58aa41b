"""The spans of one invocation from its facts. Pure.

    SERVER <function>             warm: from the event's way to the runtime until the response was accepted
    ├─ init, or restore           cold only: the SERVER span then begins where it does (inits.py has what is below it)
    ├─ next                       the event's way: delivery and thaw; what was idle before is an attribute
    ├─ event decode               where it took 1 ms or more
    ├─ handler                    and below it what it imported (imports.py)
    │  └─ response                of a handler that streams it: from its first byte on
    ├─ response encode            where it took 1 ms or more
    ├─ response
    ├─ response drain             what of a streamed response was read after the handler, where that took 1 ms or more
    └─ after response             what the environment still spent; begins where SERVER ends, comes with a later export

An init or restore that no request waited for is a trace of its own, to which the first SERVER span links.

Jaeger shows microseconds, warns of children outside their parents, and finds a critical path only between spans that do
not touch: so phases are in whole microseconds, one apart at least, inside their parent.
"""

import posix as os

from coldspan_extension import (
    attributes,
    context,
    failures,
    inits,
    platform,
    sampling,
    semconv,
    starts,
    timing,
    triggers,
)
from coldspan_extension.ids import Ids, random_ids
from coldspan_extension.imports import import_spans
from coldspan_extension.invocation import Environment, Invocation
from coldspan_extension.span import SERVER, Attributes, Event, Link, Span
from coldspan_extension.starts import Verdict
from coldspan_extension.timing import US, floor
from coldspan_wrapper import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MS = 1_000_000
SECOND = 1_000_000_000
MIB = 1_048_576
FIRST_BYTE = "first_byte"
SHOWN_FROM_NS = MS
"""Decoding and encoding become spans from here on; the phases of a large payload then add up."""

Phase = tuple[str, int, int]  # name, begin and end in Unix ns


class Tracer:
    """What all traces of this environment share."""

    def __init__(
        self,
        environment: Environment,
        function: str,
        sampler: str,
        ratio: float,
        entropy: "Callable[[int], bytes]" = os.urandom,
    ) -> None:
        self.start: Verdict | None = None
        """Of the environment's first invocation, once there was one."""
        self._environment = environment
        self._function = function
        self._sampler = sampler
        self._ratio = ratio
        self._entropy = entropy
        self._own: tuple[Ids, bool] | None = None  # of an init's own trace, until it is taken; whether proactive
        self._own_is_due = False

    def trace(self, invocation: Invocation, carried: Attributes) -> list[Span]:
        """The spans of an invocation that is over, SERVER first; none if the sampler leaves it out. `carried` are
        attributes that go with whichever SERVER span comes next: what exporting took, what was dropped."""
        verdict = starts.judge(_facts(invocation, self._environment), self._environment.proactive_after_ns)
        if verdict.kind != starts.WARM:
            self.start = verdict
        if verdict.place == starts.OWN:
            self._plan_own(verdict)
        parent, ids = context.parent_of(invocation.facts), Ids(invocation.request_id, invocation.deadline_ms)
        trace_id = parent.trace_id if parent else ids.trace()
        if not sampling.is_sampled(self._sampler, self._ratio, trace_id, parent):
            return []
        phases = _lay_out(_phases(invocation, verdict, self._environment))
        start_ns = phases[0][1] if phases else floor(timing.delivery_start(invocation))
        end_ns = max(floor(timing.invocation_end(invocation)), phases[-1][2] if phases else 0, start_ns + US)
        parent_id = parent.span_id if parent else b""
        server = Span(self._function, trace_id, ids.span("server"), parent_id, start_ns, end_ns, {}, SERVER)
        if parent:
            server.parent_is_remote = True
            server.trace_state = parent.trace_state
        server.attributes = {**_server_attributes(invocation, self._environment, verdict), **carried}
        named = {name: _child(server, ids, name, name, begin, end) for name, begin, end in phases}
        if invocation.is_streamed:
            named["response"] = _streamed(server, named["handler"], ids, invocation)
        for name, span in named.items():
            span.attributes[attributes.PHASE] = name
        spans = [server, *named.values()]
        if verdict.place == starts.CHILD:
            first = spans[1]
            spans += inits.complete(first, ids, self._environment, proactive=False)
        elif verdict.place == starts.OWN and self._own:
            _link(server, self._own[0], timing.phase_of(self._environment))
        spans += _between(server, ids, named)
        failures.record_invocation(server, named, invocation)
        if "handler" in named and invocation.runtime is not None and self._environment.imports is not None:
            log = invocation.runtime.imports
            spans += import_spans(named["handler"], "handler", ids, log, self._environment.imports)
        return spans

    def take_own(self) -> list[Span]:
        """The trace of an init that no request waited for, its root first: once, when an invocation has linked to it,
        or when the environment ends without one. Where its report is not there yet, it is left for the next call."""
        if self.start is None and self._environment.ended_ns:
            self.start = Verdict("unused", False, starts.OWN, "no request came")
            self._plan_own(self.start)
        if self._own is None:
            return []
        is_told = (
            platform.INIT_REPORT in self._environment.platform or timing.phase_of(self._environment) != timing.INIT
        )
        if not (is_told or self._own_is_due or self._environment.ended_ns):
            self._own_is_due = True
            return []
        (ids, proactive), self._own = self._own, None
        return inits.own_trace(self._environment, ids, proactive)

    def after_response(self, server: Span, invocation: Invocation) -> list[Span]:
        """What the environment still spent after the response, until runtime and extension had asked for their next
        events; nothing where there was no response, or where neither is known to have asked."""
        if not invocation.at.get(records.RESPONSE_END):
            return []
        end_ns = floor(max(invocation.next_asked_ns, invocation.returned_ns))
        if end_ns <= server.end_ns:
            return []
        ids = Ids(invocation.request_id, invocation.deadline_ms)
        span = _child(server, ids, "after response", "after response", server.end_ns, end_ns)
        report = invocation.platform.get(platform.REPORT)
        if report is not None:
            for name, metric in (
                (attributes.PLATFORM_DURATION, "durationMs"),
                (attributes.BILLED_DURATION, "billedDurationMs"),
            ):
                value_ms = report.metric(metric)
                if value_ms is not None:
                    span.attributes[name] = value_ms / 1000
            memory_mb = report.metric("maxMemoryUsedMB")
            if memory_mb is not None:
                span.attributes[attributes.MAX_MEMORY_USED] = int(memory_mb) * MIB
        return [span]

    def _plan_own(self, verdict: Verdict) -> None:
        ids = random_ids(self._entropy)
        if sampling.is_sampled(self._sampler, self._ratio, ids.trace(), None):
            self._own = ids, verdict.kind == starts.PROACTIVE


def _facts(invocation: Invocation, environment: Environment) -> starts.Facts:
    phase = timing.phase_of(environment)
    restored = phase == timing.RESTORE
    http_ns, queue_ns = starts.arrivals(dict(invocation.facts))
    return starts.Facts(
        init_type=environment.init_type,
        phase=environment.phase,
        began_ns=inits.interval(environment, phase, 0)[0],
        ready_ns=timing.restore_end(environment) if restored else _init_ready(environment),
        requested_ns=timing.delivery_start(invocation),
        http_arrival_ns=http_ns,
        queue_arrival_ns=queue_ns,
        is_first=invocation.sequence == 1,
        has_failed=not invocation.at and failures.start_error(environment, phase) is not None,
    )


def _init_ready(environment: Environment) -> int:
    """On SnapStart init was ready at publish time, which says nothing of this request."""
    return 0 if environment.init_type == starts.SNAP_START else timing.ready(environment)


def _phases(invocation: Invocation, verdict: Verdict, environment: Environment) -> list[Phase]:
    """SERVER's children as they were seen. One that never ended ends with the invocation."""
    at, end_ns = invocation.at, timing.invocation_end(invocation)
    replied_ns = at.get(records.NEXT_END, 0)
    phases = []
    if verdict.place == starts.CHILD:
        phase = timing.phase_of(environment)
        was_ready_ns = timing.delivery_start(invocation) if invocation.invoked_ns or replied_ns else end_ns
        phases.append((phase, *inits.interval(environment, phase, was_ready_ns)))
    if replied_ns:
        phases.append(("next", timing.delivery_start(invocation), replied_ns))
    if records.HANDLER_BEGIN in at:
        phases.append(("handler", at[records.HANDLER_BEGIN], at.get(records.HANDLER_END, end_ns)))
    if records.RESPONSE_BEGIN in at and not invocation.is_streamed:
        phases.append(("response", at[records.RESPONSE_BEGIN], at.get(records.RESPONSE_END, end_ns)))
    return phases


def _lay_out(phases: list[Phase]) -> list[Phase]:
    """The same phases in whole microseconds, each at least one long and one after its predecessor."""
    laid: list[Phase] = []
    free_ns = 0
    for name, begin_ns, end_ns in phases:
        begin_ns = max(floor(begin_ns), free_ns)
        end_ns = max(floor(end_ns), begin_ns + US)
        laid.append((name, begin_ns, end_ns))
        free_ns = end_ns + US
    return laid


def _streamed(server: Span, handler: Span, ids: Ids, invocation: Invocation) -> Span:
    """The response as a child of the handler that streams it, whose end is the latest that it can show; and its first
    byte, on SERVER."""
    first_byte_ns = invocation.at[records.RESPONSE_BEGIN]
    begin_ns = min(max(floor(first_byte_ns), handler.start_ns), handler.end_ns - US)
    answered_ns = invocation.at.get(records.RESPONSE_END, handler.end_ns)
    end_ns = min(max(floor(answered_ns), begin_ns + US), handler.end_ns)
    server.events.append(Event(FIRST_BYTE, begin_ns, {}))
    server.attributes[attributes.RESPONSE_TTFB] = (begin_ns - server.start_ns) / SECOND
    return _child(handler, ids, "response", "response", begin_ns, end_ns)


def _between(server: Span, ids: Ids, named: dict[str, Span]) -> list[Span]:
    """What takes long enough to be seen in the gaps between the phases: decoding the event, encoding the response, and
    after the handler the rest of a response that it streamed."""
    gaps = [("event decode", "next", "handler")]
    handler, response = named.get("handler"), named.get("response")
    if handler and response and response.parent_id == handler.span_id:
        gaps.append(("response drain", "handler", ""))
    else:
        gaps.append(("response encode", "handler", "response"))
    spans = []
    for name, before, after in gaps:
        if before in named and (after in named or not after):
            begin_ns = named[before].end_ns + US
            end_ns = named[after].start_ns - US if after else server.end_ns
            if end_ns - begin_ns >= SHOWN_FROM_NS:
                spans.append(_child(server, ids, name, f"server/{name}#1", begin_ns, end_ns))
    return spans


def _server_attributes(invocation: Invocation, environment: Environment, verdict: Verdict) -> Attributes:
    found: Attributes = {
        semconv.FAAS_TRIGGER: triggers.trigger_of(invocation.facts),
        semconv.FAAS_INVOCATION_ID: invocation.request_id,
        semconv.FAAS_COLDSTART: verdict.is_cold,
        attributes.INIT_TYPE: environment.init_type,
        attributes.SEQUENCE: invocation.sequence,
    }
    if invocation.arn:
        found[semconv.AWS_LAMBDA_INVOKED_ARN] = invocation.arn
    xray = dict(part.strip().partition("=")[::2] for part in invocation.trace_header.split(";"))
    if xray.get("Root"):
        found[attributes.XRAY_TRACE_ID] = xray["Root"]
    if records.RESPONSE_BEGIN in invocation.at:
        found[attributes.RESPONSE_SIZE] = invocation.response_size
    of_init = timing.phase_of(environment) == timing.INIT
    if of_init and verdict.place != starts.NOWHERE:
        found[attributes.INIT_PHASE] = environment.phase or timing.INIT
    if verdict.kind == starts.PROACTIVE:
        found[attributes.INIT_PROACTIVE] = True
    if verdict.place == starts.CHILD and of_init:
        found.update(_overhead(invocation, environment))
    if verdict.place != starts.CHILD and invocation.asked_ns:
        found[attributes.IDLE] = max(0, timing.delivery_start(invocation) - invocation.asked_ns) / SECOND
    return found


def _overhead(invocation: Invocation, environment: Environment) -> Attributes:
    """What ours cost the request that waited for init."""
    found: Attributes = {}
    if environment.began_ns and environment.registered_ns:
        found[attributes.OVERHEAD_EXTENSION] = (environment.registered_ns - environment.began_ns) / SECOND
    if invocation.runtime is not None:
        found[attributes.OVERHEAD_WRAPPER] = invocation.wrapper_overhead_ns / SECOND
    return found


def _link(server: Span, own: Ids, phase: str) -> None:
    """Jaeger hides a link's attributes, so the trace id stands on the span too."""
    server.links.append(Link(own.trace(), own.span(phase), {attributes.LINK_TYPE: phase}))
    server.attributes[attributes.INIT_TRACE_ID] = own.trace().hex()


def _child(parent: Span, ids: Ids, name: str, label: str, begin_ns: int, end_ns: int) -> Span:
    return Span(name, parent.trace_id, ids.span(label), parent.span_id, begin_ns, end_ns, {})
