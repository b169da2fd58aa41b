"""One clock: instants are CLOCK_MONOTONIC ns, and become wall time only where they leave the lab."""

import time
from datetime import datetime, timezone

now_ns = time.monotonic_ns


def unix_ns(instant_ns: int) -> int:
    """When an instant was, in ns since the Unix epoch."""
    return instant_ns + time.time_ns() - time.monotonic_ns()


def iso(at_unix_ns: int) -> str:
    """UTC with milliseconds, truncated as Lambda does it: 2026-11-24T08:19:52.633Z."""
    moment = datetime.fromtimestamp(at_unix_ns // 1_000_000_000, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_unix_ns // 1_000_000 % 1000:03d}Z"


def common_log(at_unix_ns: int) -> str:
    """As in web servers' logs, UTC: 12/Mar/2020:19:03:58 +0000."""
    moment = datetime.fromtimestamp(at_unix_ns // 1_000_000_000, timezone.utc)
    return f"{moment:%d/%b/%Y:%H:%M:%S} +0000"


def duration_ms(start_ns: int, end_ns: int) -> float:
    """Milliseconds in microsecond resolution, as in the platform's metrics."""
    return max(0, end_ns - start_ns) // 1000 / 1000
