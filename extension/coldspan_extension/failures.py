"""Who failed and how. Pure.

The wrapper's word goes first for what the runtime handled (of a reported exception the platform says success), the
platform's for a process that ended. An exception is an event of one span, the innermost phase that it left.
"""

from coldspan_extension import attributes, json1, platform, semconv, starts, timing
from coldspan_extension.invocation import Environment, Failure, Invocation
from coldspan_extension.span import Event, Span
from coldspan_extension.timing import INIT, RESTORE
from coldspan_wrapper import records

TIMEOUT, EXIT_ERROR, OUT_OF_MEMORY = "timeout", "Runtime.ExitError", "Runtime.OutOfMemory"
UNKNOWN = "Runtime.Unknown"
"""Lambda's own word for an error of which it has no type."""

RESPONSE_TOO_LARGE = "Function.ResponseSizeTooLarge"
MAX_RESPONSE = 6_291_556
"""Bytes that the Runtime API takes as a buffered response: 6 MiB and 100 bytes."""

_TOO_LARGE = ": status 413"
"""In the words of our own runtime."""

Error = tuple[str, str]  # error.type and the message, which may be empty

_WHERE = {INIT: ("load", "snapshot"), RESTORE: ("restore",)}
_TOLD_BY = {
    INIT: (platform.INIT_RUNTIME_DONE, platform.INIT_REPORT),
    RESTORE: (platform.RESTORE_RUNTIME_DONE, platform.RESTORE_REPORT),
}


def start_error(environment: Environment, phase: str) -> Error | None:
    """Why the init or the restore failed; None where it did not, or where nobody tells that it did."""
    reported = next((failure for failure in _start_failures(environment, phase) if not failure.is_fatal), None)
    if reported is not None:
        return reported.type, reported.message
    for kind in _TOLD_BY[phase]:
        event = environment.platform.get(kind)
        if event is not None and event.status == "success":
            return None
        if event is not None and event.status:
            # A timeout's errorType, where there is one, says no more than Runtime.Unknown.
            return (TIMEOUT if event.status == "timeout" else event.text("errorType") or UNKNOWN), ""
    return None if timing.runtime_ready(environment, phase) else _silent_end(environment)


def record_start(span: Span, load: Span | None, environment: Environment) -> None:
    """Marks the span of an init or restore, and within it that of the handler's load, with how it failed."""
    failures = _start_failures(environment, span.name)
    span.events += [_exception(failure) for failure in failures]
    error = start_error(environment, span.name)
    if error is None:
        return
    fatal = next((failure for failure in failures if failure.is_fatal), None)
    error_type, message = error[0], error[1] or _last_words(fatal)
    span.fail(error_type, message)
    was_cut = not timing.runtime_ready(environment, span.name) and all(failure.is_fatal for failure in failures)
    if was_cut:
        span.attributes[attributes.TRUNCATED] = True
    loading = environment.runtime is not None and records.LOAD_END not in environment.runtime.at
    if load is not None and (loading or any(failure.where == "load" for failure in failures)):
        load.fail(error_type, message)
        if loading:
            load.attributes[attributes.TRUNCATED] = True


def record_invocation(server: Span, phases: dict[str, Span], invocation: Invocation) -> None:
    """Marks SERVER and its phases, by name, with how the invocation failed, if it did."""
    handler, response = phases.get("handler"), phases.get("response")
    in_handler = [failure for failure in invocation.failures if failure.where == "handler"]
    if handler is not None and in_handler:
        handler.events += [_exception(failure) for failure in in_handler]
        handler.fail(in_handler[0].type, in_handler[0].message)
    failed_start = next((span for span in phases.values() if span.name in _WHERE and span.error), None)
    if records.NEXT_END not in invocation.at and failed_start is not None:
        _inherit(server, failed_start)
    elif records.RESPONSE_END not in invocation.at:
        _end_without_response(server, phases, invocation)
    elif invocation.response_problem:
        error_type, message = _refusal(invocation)
        for span in (server, response):
            if span is not None:
                span.fail(error_type, message)
    elif invocation.failures:
        first = invocation.failures[0]
        server.fail(first.type, first.message)
        if first.where != "handler":
            server.events.append(_exception(first))
    elif invocation.reported:
        server.fail(*_reported_error(invocation.reported))


def _start_failures(environment: Environment, phase: str) -> list[Failure]:
    failures = environment.runtime.failures if environment.runtime else []
    return [failure for failure in failures if failure.where in _WHERE[phase]]


def _silent_end(environment: Environment) -> Error | None:
    """Of a start in an environment that got no event, where nobody tells how it ended. On managed instances that is as
    it should be: the workers that ask for events are forked, and a fork records nothing."""
    if environment.has_served or environment.init_type == starts.MANAGED:
        return None
    if environment.shutdown_reason.lower() == "timeout":
        return TIMEOUT, ""
    runtime = environment.runtime
    if runtime is None or not runtime.client_seen or runtime.is_silent:
        return None
    return (EXIT_ERROR, "") if runtime.ended_ns else None


def _inherit(server: Span, start: Span) -> None:
    server.fail(str(start.attributes[semconv.ERROR_TYPE]), start.status_message)
    if attributes.TRUNCATED in start.attributes:
        server.attributes[attributes.TRUNCATED] = True


def _end_without_response(server: Span, phases: dict[str, Span], invocation: Invocation) -> None:
    """The process ended, or nobody saw the response: an error only where the platform or the process says so."""
    error_type = _death(invocation)
    fatal = next((failure for failure in invocation.failures if failure.is_fatal), None)
    message = _last_words(fatal)
    response = phases.get("response")  # if it began it was cut, also where it lies in a handler that had ended
    for span in (server, phases.get("handler"), response):
        was_cut = span is not None and (span is response or span.end_ns >= server.end_ns - timing.US)
        if span is not None and was_cut and invocation.runtime is not None:
            span.attributes[attributes.TRUNCATED] = True
        if span is not None and error_type and (was_cut or (fatal and span.name == fatal.where)):
            span.fail(error_type, message)
    server.events += [_exception(failure) for failure in invocation.failures if failure.where != "handler"]


def _death(invocation: Invocation) -> str:
    """The error type of an invocation that ended without a response; empty where nothing tells of a failure."""
    done = invocation.platform.get(platform.RUNTIME_DONE)
    if done is not None and done.status == "success":
        return ""
    told = done.text("errorType") if done is not None else ""
    if timing.has_timed_out(invocation):
        return told or TIMEOUT
    # SHUTDOWN's reason; AWS's emulator calls a crash ReleaseFail.
    crashed = invocation.shutdown_reason.lower() in ("failure", "releasefail")
    died = timing.died(invocation) and invocation.shutdown_reason.lower() != "spindown"  # then Lambda itself ended it
    if told in ("", EXIT_ERROR) and _ran_out_of_memory(invocation):
        return OUT_OF_MEMORY
    return told or (EXIT_ERROR if done is not None or crashed or died else "")


def _ran_out_of_memory(invocation: Invocation) -> bool:
    """Lambda does not always say so, but its report then has all of the memory as used."""
    report = invocation.platform.get(platform.REPORT)
    if report is None or any(failure.is_fatal for failure in invocation.failures):
        return False
    used_mb, size_mb = report.metric("maxMemoryUsedMB"), report.metric("memorySizeMB")
    return used_mb is not None and size_mb is not None and 0 < size_mb <= used_mb


def _refusal(invocation: Invocation) -> Error:
    """Why the Runtime API did not take the response: its client tells of a status, Lambda the caller of a size."""
    error_type, _, message = invocation.response_problem.partition(": ")
    is_too_large = invocation.response_size > MAX_RESPONSE and not invocation.is_streamed
    return (RESPONSE_TOO_LARGE if is_too_large or _TOO_LARGE in message else error_type), message


def _reported_error(reported: str) -> Error:
    """Type and message of the error JSON that was posted, where nobody saw the exception itself."""
    try:
        error = json1.loads(reported.encode())
        return str(error["errorType"] or "_OTHER"), str(error["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return "_OTHER", ""


def _last_words(fatal: Failure | None) -> str:
    """The message of the exception that ended the process; the code of an exit is none."""
    return fatal.message if fatal is not None and fatal.type != "SystemExit" else ""


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
