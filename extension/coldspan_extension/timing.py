"""When things began and ended, from whoever saw it: the wrapper first, then the platform, then ourselves. Pure.

Times are Unix ns. Lambda's are cut to the millisecond, so that they can point into the time before; 0 is unknown.
"""

from coldspan_extension import platform
from coldspan_extension.invocation import Environment, Invocation
from coldspan_wrapper import records

US = 1_000
INIT, RESTORE = "init", "restore"
"""The phases that prepare an environment."""
REPEATED = "invoke"
"""platform.initStart's phase of an init inside an invocation. Of that no snapshot is taken, though the runtime of a
SnapStart function asks to be restored all the same."""


def floor(ns: int) -> int:
    """In whole microseconds, which is what Jaeger shows."""
    return ns - ns % US


def init_start(environment: Environment) -> int:
    """platform.initStart; else the extension's process, which is the first that Lambda starts."""
    start, runtime = environment.platform.get(platform.INIT_START), environment.runtime
    return start.time_ns if start else environment.began_ns or (runtime.began_ns if runtime else 0)


def init_end(environment: Environment) -> int:
    """When runtime and extensions had asked for their first event, or for the restore; where the runtime did not, the
    platform's word for the end. 0: init is not over, or nobody told."""
    asked_ns = runtime_ready(environment, INIT)
    if asked_ns:
        return max(environment.next_asked_ns, asked_ns)
    for kind in (platform.INIT_RUNTIME_DONE, platform.INIT_REPORT):
        if kind in environment.platform:
            return environment.platform[kind].time_ns
    return 0


def given_up(environment: Environment) -> int:
    """When a start that never finished was over: its process ended, the environment did, or nothing more was seen."""
    runtime = environment.runtime
    died_ns = runtime.ended_ns if runtime else 0
    seen_ns = max(runtime.at.values(), default=0) if runtime else 0
    return max(died_ns or environment.ended_ns, seen_ns, environment.next_asked_ns)


def runtime_ready(environment: Environment, phase: str) -> int:
    """What ended the runtime's part of the phase: its first question for an event, or for the restore of its snapshot.
    0 if it did not come, or if nobody saw it."""
    at = environment.runtime.at if environment.runtime else {}
    asked_ns = at.get(records.NEXT_BEGIN, 0)
    if phase == RESTORE:
        return asked_ns if records.RESTORE_END in at else 0
    return asked_ns if environment.phase == REPEATED else at.get(records.RESTORE_BEGIN, 0) or asked_ns


def ready(environment: Environment) -> int:
    """When Lambda could have handed over a request: also other extensions prolong init, of which initReport tells."""
    report = environment.platform.get(platform.INIT_REPORT)
    return report.time_ns if report else init_end(environment)


def phase_of(environment: Environment) -> str:
    """What prepared this environment for its first invocation: its init, or the restore of a snapshot."""
    at = environment.runtime.at if environment.runtime else {}
    restored = records.RESTORE_END in at or platform.RESTORE_START in environment.platform
    return RESTORE if restored and environment.phase != REPEATED else INIT


def restore_start(environment: Environment) -> int:
    """Without platform.restoreStart only the end is known: when the runtime was told that it had been restored."""
    start, runtime = environment.platform.get(platform.RESTORE_START), environment.runtime
    return start.time_ns if start else (runtime.at.get(records.RESTORE_END, 0) if runtime else 0)


def restore_end(environment: Environment) -> int:
    """The runtime's first question for an event after its hooks; else the platform's word. 0: not over."""
    asked_ns = runtime_ready(environment, RESTORE)
    if asked_ns:
        return asked_ns
    for kind in (platform.RESTORE_RUNTIME_DONE, platform.RESTORE_REPORT):
        if kind in environment.platform:
            return environment.platform[kind].time_ns
    return 0


def delivery_start(invocation: Invocation) -> int:
    """The earliest sign of the invocation: who of runtime, extension and platform sees it first is a race."""
    start = invocation.platform.get(platform.START)
    replied_ns = invocation.at.get(records.NEXT_END, 0)
    signs = [start.time_ns if start else 0, invocation.invoked_ns, replied_ns - US if replied_ns else 0]
    earliest = min((sign for sign in signs if sign), default=invocation.over_ns)
    # Lambda's clock is cut to the millisecond: it may point into the time before the runtime asked for the event.
    return max(earliest, min(invocation.asked_ns, replied_ns - US)) if replied_ns else earliest


def invocation_end(invocation: Invocation) -> int:
    """When the Runtime API had accepted the response, and the handler was over; without one, the platform's word, else
    when the process ended or that was noticed. A handler that ran out of time ended at its deadline."""
    answered_ns = invocation.at.get(records.RESPONSE_END, 0)
    if answered_ns:
        return max(answered_ns, invocation.at.get(records.HANDLER_END, 0))  # it may close its stream and go on
    done = invocation.platform.get(platform.RUNTIME_DONE)
    end_ns = done.time_ns if done else died(invocation) or invocation.over_ns
    if invocation.deadline_ns and not done:  # what was noticed later is the end of something else
        end_ns = min(end_ns, invocation.deadline_ns)
    # Our own INVOKE proves nothing beside the platform's word: it is late where we were still exporting.
    last_seen_ns = max([0 if done else invocation.invoked_ns, *invocation.at.values()])
    if invocation.deadline_ns and has_timed_out(invocation):
        end_ns = min(end_ns, invocation.deadline_ns)
    return max(end_ns, last_seen_ns)


def died(invocation: Invocation) -> int:
    """When its runtime's process was found gone; 0 if it was not, or if the process lived to see another one."""
    return invocation.runtime.ended_ns if invocation.runtime and not invocation.is_followed else 0


def has_timed_out(invocation: Invocation) -> bool:
    done = invocation.platform.get(platform.RUNTIME_DONE)
    status = done.status if done else invocation.shutdown_reason.lower()
    return status == "timeout"
