"""What a collector's answer means, for every lane over HTTP (OTLP specification, OTLP/HTTP Response). Pure."""

from coldspan_extension.export import Exported, Failed
from coldspan_extension.export.protobuf import Corrupt, partial_success

RETRYABLE = frozenset((429, 502, 503, 504))
"""The statuses that OTLP/HTTP allows to retry (OTLP specification, Retryable Response Codes)."""

MAX_EXPORT_S = 3.0
"""Most that one export may take, however much time is left: it is billed, and a collector that is down would take all
of it. What did not arrive is tried again later."""

MAX_REASON = 200


def time_limit(timeout_s: float, deadline_ns: int, now_ns: int) -> float:
    """Seconds for one export; not positive where there is no time left. Times are Unix ns."""
    return min(timeout_s, MAX_EXPORT_S, (deadline_ns - now_ns) / 1e9)


def outcome_of(status: int, retry_after: str, body: bytes, count: int) -> "Exported | Failed":
    """Of an export of `count` spans. `retry_after` is the header's value: seconds; a date is not read."""
    if 200 <= status < 300:
        try:
            rejected, message = partial_success(body)
        except Corrupt:  # a proxy's page, or JSON: it says nothing of the spans
            rejected, message = 0, ""
        rejected = min(rejected, count)
        return Exported(count - rejected, rejected, message)
    said = body[:MAX_REASON].decode("utf-8", "replace")
    retry_after_s = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
    return Failed(status in RETRYABLE, f"HTTP {status} {said}".strip(), retry_after_s)
