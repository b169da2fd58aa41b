"""A SnapStart restore: the runtime, which waits in restore/next since its init, goes on to its first event.

Here it is the frozen environment itself that goes on, as it is: a real snapshot may have any number of clones.
"""

from collections.abc import Callable
from typing import Any

from coldspan_lab import clock, platform_events
from coldspan_lab.domain import DeadlinePassed, Domain, Fault
from coldspan_lab.invocation import Invocation
from coldspan_lab.states import RuntimeState


async def restore(domain: Domain, limit_s: float, emit: Callable[[str, dict[str, Any]], None]) -> float:
    """From restore/next to the runtime's first next, at most `limit_s`; how long that took, in ms.

    Emits the events that end a restore. Raises Fault, DeadlinePassed.
    """
    begun_ns = clock.now_ns()
    status, error_type = "success", None
    if domain.runtime.state is RuntimeState.RESTORE_READY:  # else it asked for an event without hooks to be run
        domain.runtime.restore()
    try:
        await domain.until(lambda: _decided(domain), begun_ns + int(limit_s * 1e9))
    except Fault as fault:
        status, error_type = "error", fault.error_type
        raise
    except DeadlinePassed:
        status = "timeout"
        raise
    finally:
        took_ms = clock.duration_ms(begun_ns, clock.now_ns())
        emit("platform.restoreRuntimeDone", platform_events.restore_runtime_done(status, error_type))
        emit("platform.restoreReport", platform_events.restore_report(status, error_type, took_ms))
    return took_ms


def _decided(domain: Domain) -> bool:
    """Raises Fault for a posted restore/error, whose process need not have ended yet."""
    if domain.runtime.restore_error is not None:
        raise Fault(domain.runtime.restore_error[0], "the runtime posted restore/error")
    return domain.runtime.state is RuntimeState.READY


def refuse(invocation: Invocation, failure: Fault | DeadlinePassed) -> None:
    """Answers an invocation that could not be begun, as the Invoke API does it."""
    if isinstance(failure, DeadlinePassed):
        message = "Lambda couldn't restore the snapshot within the timeout limit."
        invocation.refuse(408, "SnapStartTimeoutException", message)
    else:
        message = f"Lambda couldn't restore the snapshot: {failure.error_type}: {failure.message}"
        invocation.refuse(400, "SnapStartException", message)
