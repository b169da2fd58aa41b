"""What a collector's answer means, for every lane over HTTP (OTLP specification, OTLP/HTTP Response). Pure."""

from coldspan_extension.export import Exported, Failed
from coldspan_extension.export.protobuf import Corrupt, partial_success

RETRYABLE = frozenset((429, 502, 503, 504))
"""The statuses that OTLP/HTTP allows to retry (OTLP specification, Retryable Response Codes)."""

MAX_EXPORT_S = 3.0
"""Most that one export may take, however much time is left: it is billed, and a collector that is down would take all
of it. What did not arrive is tried again later."""

MAX_REASON = 200
MAX_RETRY_AFTER_S = 86_400.0


def time_limit(timeout_s: float, deadline_ns: int, now_ns: int) -> float:
    """Seconds for one export; not positive where there is no time left. Times are Unix ns."""
    return min(timeout_s, MAX_EXPORT_S, (deadline_ns - now_ns) / 1e9)


def outcome_of(status: int, retry_after: str, body: bytes, count: int, now_s: float) -> "Exported | Failed":
    """Of an export of `count` spans. `retry_after` is the header's value, seconds or a date; `now_s` is Unix time."""
    if 200 <= status < 300:
        try:
            rejected, message = partial_success(body)
        except Corrupt:  # a proxy's page, or JSON: it says nothing of the spans
            rejected, message = 0, ""
        rejected = min(rejected, count)
        return Exported(count - rejected, rejected, message)
    said = body[:MAX_REASON].decode("utf-8", "replace")
    return Failed(status in RETRYABLE, f"HTTP {status} {said}".strip(), _seconds(retry_after, now_s))


def _seconds(retry_after: str, now_s: float) -> "float | None":
    """None where there is no such header, or none that says something."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), MAX_RETRY_AFTER_S)  # thousands of digits are infinite
    if not retry_after:
        return None
    from email.utils import parsedate_to_datetime  # 10 ms, for what few collectors send

    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now_s)
    except ValueError:
        return None
