"""From what was seen of an environment to its figures. Pure.

Times are milliseconds. `cold` is what the caller of the first invocation waits for: from the start of the first process
to the response. `free` is when the environment may be frozen, and no longer billed.
"""

import statistics

from coldspan_bench import memory
from coldspan_bench.environment import Seen

MS = 1e6
UNKNOWN = -1
MIB = 1_048_576
MOMENTS = {0: "before", 2: "after"}
"""Before anything was exported: after init. After: at the end of the last invocation."""
CONNECTION = ("export-opened", "export-shaken")
BEFORE, AFTER_INIT, AFTER_FIRST, AT_END, AFTERWARDS = range(-1, 4)
AT_RESPONSE = 10
"""When the service takes samples (native/service.c)."""


def of_run(seen: Seen) -> dict[str, float]:
    """By name; only what this run could tell."""
    count = len([1 for name, _ in seen.marks if name == "sent"])
    init = _ms(seen, "begin", "init", 0, 0)
    first = _ms(seen, "sent", "response", 0, 0)
    figures = {
        "init": init,
        "first response": first,
        "cold": init + first,
        "free after first": _ms(seen, "response", "free", 0, 0),
        **_used(seen),
        **_throttled(seen),
        **_shutdown(seen),
    }
    if count > 1:
        warm = range(1, count)
        figures["warm response"] = statistics.median(_ms(seen, "sent", "response", n, n) for n in warm)
        figures["free after warm"] = statistics.median(_ms(seen, "response", "free", n, n) for n in warm)
    return {**figures, **_timeline(seen), **_export_parts(seen), **_memory(seen)}


def _ms(seen: Seen, begin: str, end: str, begin_number: int, end_number: int) -> float:
    return (seen.one(end, end_number) - seen.one(begin, begin_number)) / MS


def _timeline(seen: Seen) -> dict[str, float]:
    """Of init, from its begin. The runtime is started when the last extension has registered."""
    moments = ("registered", "runtime-started", "extension-next", "runtime-next")
    return {name.replace("-", " "): _ms(seen, "begin", name, 0, 0) for name in moments if (name, 0) in seen.marks}


def _used(seen: Seen) -> dict[str, float]:
    """CPU time, ms: of both processes by their own clocks until the last invocation was over; of the whole
    environment by its cgroup, shutdown included."""
    figures = {
        "cpu runtime": seen.one("cpu-runtime", AT_END) / MS,
        "cpu extension": seen.one("cpu-extension", AT_END) / MS,
        "cpu init": (seen.one("cpu-runtime", AFTER_INIT) + seen.one("cpu-extension", AFTER_INIT)) / MS,
    }
    figures["cpu both"] = figures["cpu runtime"] + figures["cpu extension"]
    if seen.one("usage", BEFORE) != UNKNOWN:
        used = seen.one("usage", AFTERWARDS) - seen.one("usage", BEFORE)
        figures["cpu whole"] = used * seen.usage_unit_ns / MS
    return figures


def _throttled(seen: Seen) -> dict[str, float]:
    """Periods in which the quota ran out, from the end of init to the first response, and until all was free again."""
    init, response, first = (seen.one("throttled", moment) for moment in (AFTER_INIT, AT_RESPONSE, AFTER_FIRST))
    return {} if init == UNKNOWN else {"throttled by response": response - init, "throttled until free": first - init}


def _memory(seen: Seen) -> dict[str, float]:
    """MB of 1,048,576 bytes. `extension memory` shares pages with the runtime, as it does in an environment; `alone`
    is as if it shared none. So is the runtime's, which would else shrink by having an extension beside it."""
    if not seen.maps:
        return {}
    figures = {"runtime memory after": memory.resident(seen.maps["runtime.2"]) / MIB}
    if "extension.2" in seen.maps:
        pairs = {name: (seen.maps[f"extension.{n}"], seen.maps[f"runtime.{n}"]) for n, name in MOMENTS.items()}
        for name, maps in pairs.items():
            figures[f"extension memory {name}"] = memory.proportional(*maps) / MIB
        figures["extension alone after"] = memory.resident(seen.maps["extension.2"]) / MIB
    return figures


def _shutdown(seen: Seen) -> dict[str, float]:
    """How long after the begin of the shutdown, and after the SHUTDOWN event, what had not been sent arrived."""
    late = [time for time in seen.marks.get(("export", 0), []) if time > seen.one("shutdown")]
    figures = {"exports at shutdown": float(len(late))}
    if late:
        figures["shutdown to trace"] = (late[-1] - seen.one("shutdown")) / MS
        figures["event to trace"] = (late[-1] - seen.one("shutdown-told")) / MS
    return figures


def _export_parts(seen: Seen) -> dict[str, float]:
    """Of the export that was made after the first response and before the environment was free, if one was."""
    response, free = seen.one("response"), seen.one("free")
    times = {name: seen.marks.get((name, 0), []) for name in ("export", "export-answered", *CONNECTION)}
    received = [time for time in times["export"] if response < time < free]
    if not received:
        return {}
    opened = max(time for time in times["export-opened"] if time < received[0])
    shaken = [time for time in times["export-shaken"] if opened < time < received[0]]
    answered = max(time for time in times["export-answered"] if time < free + MS)
    parts = {
        "response to connection": opened - response,
        "connection to request": received[0] - (shaken[0] if shaken else opened),
        "answer to free": free - answered,
    }
    if shaken:
        parts["handshake"] = shaken[0] - opened
    return {name: part / MS for name, part in parts.items()}
