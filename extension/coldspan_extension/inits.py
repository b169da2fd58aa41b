"""The spans of an init or a restore: what they carry, what is below them, and their own trace if nobody waited. Pure.

init                          Lambda's init start until runtime and extensions asked for their first event
├─ extension init
├─ runtime boot
└─ load handler               and below it the import tree (imports.py)

restore                       SnapStart: until the runtime asked for its first event
└─ restore hooks              what the function registered to run after the restore, where it took 1 ms or more
"""

from coldspan_extension import attributes, failures, platform, timing
from coldspan_extension.ids import Ids
from coldspan_extension.imports import import_spans
from coldspan_extension.invocation import Environment
from coldspan_extension.span import Span
from coldspan_extension.timing import INIT, RESTORE
from coldspan_wrapper import records

SHOWN_FROM_NS = 1_000_000
"""Hooks that took less were not there, most often."""

Interval = tuple[int, int]  # begin and end, Unix ns


def interval(environment: Environment, phase: str, otherwise_ns: int) -> Interval:
    """From where to where it went. `otherwise_ns` is the end of one that did not end, as far as anybody saw."""
    if phase == RESTORE:
        return timing.restore_start(environment), timing.restore_end(environment) or otherwise_ns
    return timing.init_start(environment), timing.init_end(environment) or otherwise_ns


def own_trace(environment: Environment, ids: Ids, proactive: bool) -> list[Span]:
    """The trace of an init or restore that no request waited for, its root first."""
    phase = timing.phase_of(environment)
    begin_ns, end_ns = interval(environment, phase, timing.given_up(environment))
    begin_ns = timing.floor(begin_ns)
    end_ns = max(timing.floor(end_ns), begin_ns + timing.US)
    root = Span(phase, ids.trace(), ids.span(phase), b"", begin_ns, end_ns, {attributes.PHASE: phase})
    return [root, *complete(root, ids, environment, proactive)]


def complete(span: Span, ids: Ids, environment: Environment, proactive: bool) -> list[Span]:
    """Gives the span of an init or restore its attributes and its status. Returns what is below it."""
    span.attributes[attributes.INIT_TYPE] = environment.init_type
    if span.name == RESTORE:
        below = _restore_children(span, ids, environment)
    else:
        span.attributes[attributes.INIT_PHASE] = environment.phase or INIT
        report = environment.platform.get(platform.INIT_REPORT)
        duration_ms = report.metric("durationMs") if report else None
        if duration_ms is not None:
            span.attributes[attributes.INIT_DURATION] = duration_ms / 1000
        below = _init_children(span, ids, environment)
    if proactive:
        span.attributes[attributes.INIT_PROACTIVE] = True
    load = next((child for child in below if child.name == "load handler"), None)
    failures.record_start(span, load, environment)
    if load is not None and environment.runtime is not None and environment.imports is not None:
        label = f"{span.name}/{load.name}#1"
        below += import_spans(load, label, ids, environment.runtime.imports, environment.imports)
    return below


def _init_children(init: Span, ids: Ids, environment: Environment) -> list[Span]:
    """What init spent, as the processes saw it; extension and runtime run side by side."""
    runtime = environment.runtime
    children = [_within(init, ids, "extension init", environment.began_ns, environment.next_asked_ns)]
    if runtime is not None:
        at = runtime.at
        children.append(_within(init, ids, "runtime boot", runtime.began_ns, runtime.hello_ns))
        if records.LOAD_BEGIN in at:
            loaded_ns = at.get(records.LOAD_END, init.end_ns)
            children.append(_within(init, ids, "load handler", at[records.LOAD_BEGIN], loaded_ns))
    return children


def _restore_children(restore: Span, ids: Ids, environment: Environment) -> list[Span]:
    at = environment.runtime.at if environment.runtime else {}
    if records.RESTORE_END not in at:
        return []
    hooks = _within(restore, ids, "restore hooks", at[records.RESTORE_END], at.get(records.NEXT_BEGIN, restore.end_ns))
    return [hooks] if hooks.end_ns - hooks.start_ns >= SHOWN_FROM_NS else []


def _within(parent: Span, ids: Ids, name: str, begin_ns: int, end_ns: int) -> Span:
    """A child with these times, as far as they are inside its parent's."""
    begin_ns = min(max(timing.floor(begin_ns), parent.start_ns), parent.end_ns)
    end_ns = min(max(timing.floor(end_ns), begin_ns), parent.end_ns)
    return Span(name, parent.trace_id, ids.span(f"{parent.name}/{name}#1"), parent.span_id, begin_ns, end_ns, {})
