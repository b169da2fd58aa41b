"""Pauses after exports that failed, growing with each: a collector that is down must not be waited for, and billed, at
the end of every invocation. Pure; the caller tells the time."""

FIRST_PAUSE_NS = 5_000_000_000
MAX_PAUSE_NS = 300_000_000_000


class Breaker:
    def __init__(self) -> None:
        self._not_before_ns = 0
        self._pause_ns = FIRST_PAUSE_NS

    def failed(self, now_ns: int, retry_after_s: "float | None" = None) -> None:
        """The collector may ask for a longer pause (Retry-After)."""
        wanted_ns = int((retry_after_s or 0.0) * 1e9)
        self._not_before_ns = now_ns + max(self._pause_ns, min(wanted_ns, MAX_PAUSE_NS))
        self._pause_ns = min(self._pause_ns * 2, MAX_PAUSE_NS)

    def exported(self) -> None:
        self._not_before_ns = 0
        self._pause_ns = FIRST_PAUSE_NS

    def allows(self, now_ns: int) -> bool:
        return now_ns >= self._not_before_ns
