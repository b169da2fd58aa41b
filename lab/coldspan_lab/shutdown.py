"""Ends a domain's processes as Lambda does: the runtime first, then the extensions, within fixed times."""

import asyncio
import json
import signal
from dataclasses import dataclass

from coldspan_lab import clock
from coldspan_lab.domain import SHUTDOWN, Domain, Extension
from coldspan_lab.http import Response
from coldspan_lab.processes import Process

WITH_EXTERNAL_S = 2.0
"""The whole sequence, with an external extension."""
INTERNAL_ONLY_S = 0.5
RUNTIME_SHARE = 0.3
"""Of the time with external extensions, how much the runtime gets between SIGTERM and SIGKILL: 600 ms."""
KILLED_WITHIN_S = 5.0
"""How long the kernel may take for a SIGKILL."""


@dataclass(frozen=True, slots=True)
class Times:
    total_s: float
    runtime_s: float


def times(extensions: list[Extension]) -> Times:
    """What the registered extensions give the shutdown. Without any, the runtime is killed at once."""
    if any(extension.external for extension in extensions):
        return Times(WITH_EXTERNAL_S, WITH_EXTERNAL_S * RUNTIME_SHARE)
    if extensions:
        return Times(INTERNAL_ONLY_S, INTERNAL_ONLY_S)
    return Times(0.0, 0.0)


def shutdown_event(reason: str, deadline_ms: int) -> Response:
    """The SHUTDOWN event of the Extensions API, which is sent as text/plain, without an event identifier."""
    event = {"eventType": "SHUTDOWN", "deadlineMs": deadline_ms, "shutdownReason": reason}
    body = json.dumps(event, separators=(",", ":")).encode()
    return Response(200, body, (("Content-Type", "text/plain; charset=utf-8"),))


async def stop(domain: Domain, reason: str) -> None:
    """`reason`: spindown, timeout or failure. No process of the domain's groups is alive afterwards."""
    domain.stopping = True
    allowed = times(list(domain.extensions.values()))
    begun_ns = clock.now_ns()
    deadline_ns = begun_ns + int(allowed.total_s * 1e9)
    if domain.runtime.process is not None:
        await _stop_runtime(domain.runtime.process, allowed.runtime_s)
    event = shutdown_event(reason, clock.unix_ns(deadline_ns) // 1_000_000)
    stopping = [_stop_extension(extension, event, deadline_ns) for extension in domain.external()]
    await asyncio.gather(*stopping)


async def kill(domain: Domain) -> None:
    """Ends everything at once."""
    domain.stopping = True
    await asyncio.gather(*(_kill(process) for process in domain.processes()))


async def _stop_runtime(process: Process, runtime_s: float) -> None:
    if process.alive and runtime_s > 0:
        process.signal_group(signal.SIGTERM)
        await process.exited_within(runtime_s)
    await _kill(process)


async def _stop_extension(extension: Extension, event: Response, deadline_ns: int) -> None:
    if extension.process is None:  # could not be started
        return
    if extension.process.alive and SHUTDOWN in extension.events:
        extension.release(event)
        await extension.process.exited_within((deadline_ns - clock.now_ns()) / 1e9)
    await _kill(extension.process)


async def _kill(process: Process) -> None:
    """Also what is left of its group."""
    process.signal_group(signal.SIGKILL)
    await process.exited_within(KILLED_WITHIN_S)
    process.close()
