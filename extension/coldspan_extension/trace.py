"""The spans of one invocation from its facts. Pure.

    SERVER <function>             warm: from the event's way to the runtime until the response was accepted
    ├─ init                       cold only: the SERVER span then begins at Lambda's init start
    │  ├─ extension init
    │  ├─ runtime boot
    │  └─ load handler
    ├─ next                       the event's way: delivery and thaw; what was idle before is an attribute
    ├─ event decode               where it took 1 ms or more
    ├─ handler
    ├─ response encode            where it took 1 ms or more
    ├─ response
    └─ after response             what the environment still spent; begins where SERVER ends, comes with a later export

Jaeger shows microseconds, warns of children outside their parents, and finds a critical path only between spans that do
not touch: so phases are in whole microseconds, one apart at least, inside their parent.
"""

from coldspan_extension import attributes, context, json1, platform, sampling, semconv, triggers
from coldspan_extension.ids import Ids
from coldspan_extension.invocation import Environment, Failure, Invocation
from coldspan_extension.span import INTERNAL, SERVER, Attributes, Event, Span
from coldspan_wrapper import records

US = 1_000
MS = 1_000_000
SECOND = 1_000_000_000
SHOWN_FROM_NS = MS
"""Decoding and encoding become spans from here on; the phases of a large payload then add up."""

Phase = tuple[str, int, int]  # name, begin and end in Unix ns


class Tracer:
    """What all traces of this environment share."""

    def __init__(self, environment: Environment, function: str, sampler: str, ratio: float) -> None:
        self._environment = environment
        self._function = function
        self._sampler = sampler
        self._ratio = ratio

    def trace(self, invocation: Invocation, carried: Attributes) -> list[Span]:
        """The spans of an invocation that is over, SERVER first; none if the sampler leaves it out. `carried` are
        attributes that go with whichever SERVER span comes next: what exporting took, what was dropped."""
        parent, ids = context.parent_of(invocation.facts), Ids(invocation.request_id, invocation.deadline_ms)
        trace_id = parent.trace_id if parent else ids.trace()
        if not sampling.is_sampled(self._sampler, self._ratio, trace_id, parent):
            return []
        cold = is_cold(invocation, self._environment)
        phases, ended_ns = _lay_out(_phases(invocation, cold, self._environment), _start(invocation, cold))
        start_ns = phases[0][1] if phases else _floor(_start(invocation, cold))
        end_ns = max(_floor(_end(invocation)), ended_ns, start_ns + US)
        server = Span(
            self._function,
            trace_id,
            ids.span("server"),
            parent.span_id if parent else b"",
            start_ns,
            end_ns,
            {**_server_attributes(invocation, self._environment, cold), **carried},
            SERVER,
        )
        if parent:
            server.parent_is_remote = True
            server.trace_state = parent.trace_state
        spans = [server, *(_child(server, ids, name, name, begin, end) for name, begin, end in phases)]
        named = {span.name: span for span in spans[1:]}
        for span in spans[1:]:
            span.attributes[attributes.PHASE] = span.name
        if cold:
            _describe_init(named["init"], self._environment)
            spans += _init_children(named["init"], ids, self._environment)
        spans += _codec_spans(server, ids, invocation, named)
        _set_status(server, named, invocation)
        return spans

    def after_response(self, server: Span, invocation: Invocation) -> Span | None:
        """What the environment still spent after the response; None if our own next is not known or came before."""
        if not invocation.next_asked_ns or not invocation.at.get(records.RESPONSE_END):
            return None
        end_ns = _floor(invocation.next_asked_ns)
        if end_ns <= server.end_ns:
            return None
        ids = Ids(invocation.request_id, invocation.deadline_ms)
        span = _child(server, ids, "after response", "after response", server.end_ns, end_ns)
        report = invocation.platform.get(platform.REPORT)
        if report is not None:
            for name, metric, unit in (
                (attributes.PLATFORM_DURATION, "durationMs", 1000),
                (attributes.BILLED_DURATION, "billedDurationMs", 1000),
            ):
                value = report.metric(metric)
                if value is not None:
                    span.attributes[name] = value / unit
            memory_mb = report.metric("maxMemoryUsedMB")
            if memory_mb is not None:
                span.attributes[attributes.MAX_MEMORY_USED] = int(memory_mb) * 1_048_576
        return span


def is_cold(invocation: Invocation, environment: Environment) -> bool:
    """Whether init delayed this request: the first one of an environment that was initialised for it."""
    return invocation.sequence == 1 and environment.init_type == "on-demand"


def _phases(invocation: Invocation, cold: bool, environment: Environment) -> list[Phase]:
    """SERVER's children as they were seen. One that never ended ends with the invocation."""
    at, end_ns = invocation.at, _end(invocation)
    replied_ns = at.get(records.NEXT_END, 0)
    phases = []
    if cold:
        phases.append(("init", _init_start(environment), _init_end(environment) or replied_ns or end_ns))
    if replied_ns:
        phases.append(("next", _delivery_start(invocation), replied_ns))
    for name, begin, end in (
        ("handler", records.HANDLER_BEGIN, records.HANDLER_END),
        ("response", records.RESPONSE_BEGIN, records.RESPONSE_END),
    ):
        if begin in at:
            phases.append((name, at[begin], at.get(end, end_ns)))
    return phases


def _lay_out(phases: list[Phase], start_ns: int) -> tuple[list[Phase], int]:
    """The same phases in whole microseconds, each at least one long and one after its predecessor; and where the last
    of them ends."""
    laid: list[Phase] = []
    free_ns = _floor(start_ns)
    for name, begin_ns, end_ns in phases:
        begin_ns = max(_floor(begin_ns), free_ns)
        end_ns = max(_floor(end_ns), begin_ns + US)
        laid.append((name, begin_ns, end_ns))
        free_ns = end_ns + US
    return laid, laid[-1][2] if laid else 0


def _start(invocation: Invocation, cold: bool) -> int:
    """Cold: the first phase, init, says where it begins. Warm: the event's way to the runtime begins."""
    return 0 if cold else _delivery_start(invocation)


def _delivery_start(invocation: Invocation) -> int:
    """The earliest sign of the invocation: who of runtime, extension and platform sees it first is a race."""
    start = invocation.platform.get(platform.START)
    replied_ns = invocation.at.get(records.NEXT_END, 0)
    signs = [start.time_ns if start else 0, invocation.invoked_ns, replied_ns - US if replied_ns else 0]
    earliest = min((sign for sign in signs if sign), default=invocation.over_ns)
    # Lambda's clock is cut to the millisecond: it may point into the time before the runtime asked for the event.
    return max(earliest, min(invocation.asked_ns, replied_ns - US)) if replied_ns else earliest


def _end(invocation: Invocation) -> int:
    """When the Runtime API had accepted the response; without one, the platform's word, else when it was noticed. A
    handler that ran out of time ended at its deadline."""
    answered_ns = invocation.at.get(records.RESPONSE_END, 0)
    if answered_ns:
        return answered_ns
    done = invocation.platform.get(platform.RUNTIME_DONE)
    end_ns = done.time_ns if done else invocation.over_ns
    last_seen_ns = max([invocation.invoked_ns, *invocation.at.values()])
    if invocation.deadline_ns and _timed_out(invocation):
        end_ns = min(end_ns, invocation.deadline_ns)
    return max(end_ns, last_seen_ns)


def _timed_out(invocation: Invocation) -> bool:
    done = invocation.platform.get(platform.RUNTIME_DONE)
    status = str(done.record.get("status")) if done else invocation.shutdown_reason
    return status.lower() == "timeout"


def _init_start(environment: Environment) -> int:
    start = environment.init.get(platform.INIT_START)
    return start.time_ns if start else environment.began_ns


def _init_end(environment: Environment) -> int:
    """Init is over when runtime and extensions asked for their first event; of the latter we know ourselves."""
    runtime = environment.runtime
    return max(environment.next_asked_ns, runtime.at.get(records.NEXT_BEGIN, 0) if runtime else 0)


def _describe_init(init: Span, environment: Environment) -> None:
    init.attributes[attributes.INIT_TYPE] = environment.init_type
    start, report = environment.init.get(platform.INIT_START), environment.init.get(platform.INIT_REPORT)
    init.attributes[attributes.INIT_PHASE] = str(start.record.get("phase", "init")) if start else "init"
    duration_ms = report.metric("durationMs") if report else None
    if duration_ms is not None:
        init.attributes[attributes.INIT_DURATION] = duration_ms / 1000


def _init_children(init: Span, ids: Ids, environment: Environment) -> list[Span]:
    """What init spent, as the processes saw it; extension and runtime run side by side."""
    runtime = environment.runtime
    parts = [("extension init", environment.began_ns, environment.next_asked_ns)]
    if runtime is not None:
        at = runtime.at
        parts.append(("runtime boot", runtime.began_ns, runtime.unix_ns(runtime.hello.monotonic_ns)))
        if records.LOAD_BEGIN in at:
            parts.append(("load handler", at[records.LOAD_BEGIN], at.get(records.LOAD_END, init.end_ns)))
    children = []
    for name, begin_ns, end_ns in parts:
        begin_ns = min(max(_floor(begin_ns), init.start_ns), init.end_ns)
        end_ns = min(max(_floor(end_ns), begin_ns), init.end_ns)
        child = _child(init, ids, name, f"init/{name}#1", begin_ns, end_ns)
        if name == "load handler" and runtime is not None:
            _record_failures(child, runtime.failures)
        children.append(child)
    return children


def _codec_spans(server: Span, ids: Ids, invocation: Invocation, named: dict[str, Span]) -> list[Span]:
    """Event decoding and response encoding, where they take long enough to be seen, in the gaps between the phases."""
    spans = []
    for name, before, after in (("event decode", "next", "handler"), ("response encode", "handler", "response")):
        if before in named and after in named:
            begin_ns, end_ns = named[before].end_ns + US, named[after].start_ns - US
            if end_ns - begin_ns >= SHOWN_FROM_NS:
                spans.append(_child(server, ids, name, f"server/{name}#1", begin_ns, end_ns))
    return spans


def _server_attributes(invocation: Invocation, environment: Environment, cold: bool) -> Attributes:
    found: Attributes = {
        semconv.FAAS_TRIGGER: triggers.trigger_of(invocation.facts),
        semconv.FAAS_INVOCATION_ID: invocation.request_id,
        semconv.FAAS_COLDSTART: cold,
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
    if cold:
        if environment.began_ns and environment.registered_ns:
            found[attributes.OVERHEAD_EXTENSION] = (environment.registered_ns - environment.began_ns) / SECOND
        if invocation.runtime is not None:
            found[attributes.OVERHEAD_WRAPPER] = invocation.wrapper_overhead_ns / SECOND
    elif invocation.asked_ns:
        found[attributes.IDLE] = max(0, _delivery_start(invocation) - invocation.asked_ns) / SECOND
    return found


def _set_status(server: Span, named: dict[str, Span], invocation: Invocation) -> None:
    """Who failed and how. The platform's word for a process that ended, the wrapper's for what the runtime handled:
    of that the platform says success."""
    handler, response = named.get("handler"), named.get("response")
    in_handler = [failure for failure in invocation.failures if failure.where == "handler"]
    if handler is not None:
        _record_failures(handler, in_handler)
    if records.RESPONSE_END not in invocation.at:
        _end_without_response(server, named, invocation)
    elif invocation.response_problem:
        error_type, _, message = invocation.response_problem.partition(": ")
        server.fail(error_type, message)
        if response is not None:
            response.fail(error_type, message)
    elif invocation.failures:
        first = invocation.failures[0]
        server.fail(first.type, first.message)
        if first.where != "handler":
            server.events.append(_exception(first))
    elif invocation.reported:
        server.fail(*_reported_error(invocation.reported))


def _end_without_response(server: Span, named: dict[str, Span], invocation: Invocation) -> None:
    """The process ended, or nobody saw the response: an error only where the platform or the process says so."""
    error_type = _death(invocation)
    fatal = next((failure for failure in invocation.failures if failure.is_fatal), None)
    message = fatal.message if fatal and fatal.type != "SystemExit" else ""  # an exit code is no message
    for span in (server, named.get("handler"), named.get("response")):
        was_cut = span is not None and span.end_ns >= server.end_ns - US
        if span is not None and was_cut and invocation.runtime is not None:
            span.attributes[attributes.TRUNCATED] = True
        if span is not None and error_type and (was_cut or (fatal and span.name == fatal.where)):
            span.fail(error_type, message)
    server.events += [_exception(failure) for failure in invocation.failures if failure.where != "handler"]


def _death(invocation: Invocation) -> str:
    """The error type of an invocation that ended without a response; empty where nothing tells of a failure."""
    done = invocation.platform.get(platform.RUNTIME_DONE)
    if done is not None and done.record.get("status") == "success":
        return ""
    told = str(done.record.get("errorType") or "") if done is not None else ""
    if told or _timed_out(invocation):
        return told or "timeout"
    # SHUTDOWN's reason; AWS's emulator calls a crash ReleaseFail.
    crashed = invocation.shutdown_reason.lower() in ("failure", "releasefail")
    died = invocation.runtime is not None and invocation.runtime.ended_ns
    return "Runtime.ExitError" if done is not None or crashed or died else ""


def _reported_error(reported: str) -> tuple[str, str]:
    """Type and message of the error JSON that was posted, where nobody saw the exception itself."""
    try:
        error = json1.loads(reported.encode())
        return str(error["errorType"] or "_OTHER"), str(error["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return "_OTHER", ""


def _record_failures(span: Span, failures: list[Failure]) -> None:
    for failure in failures:
        span.events.append(_exception(failure))
    if failures:
        span.fail(failures[0].type, failures[0].message)


def _exception(failure: Failure) -> Event:
    return Event(
        semconv.EXCEPTION,
        failure.at_ns,
        {
            semconv.EXCEPTION_TYPE: failure.type,
            semconv.EXCEPTION_MESSAGE: failure.message,
            semconv.EXCEPTION_STACKTRACE: failure.stack,
        },
    )


def _child(parent: Span, ids: Ids, name: str, label: str, begin_ns: int, end_ns: int) -> Span:
    return Span(name, parent.trace_id, ids.span(label), parent.span_id, begin_ns, end_ns, {}, INTERNAL)


def _floor(ns: int) -> int:
    return ns - ns % US
