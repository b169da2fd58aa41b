"""Lambda's Telemetry API events (platform.*), as far as traces need them."""

from coldspan_extension import json1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

INIT_START = "platform.initStart"
INIT_RUNTIME_DONE = "platform.initRuntimeDone"
INIT_REPORT = "platform.initReport"
RESTORE_START = "platform.restoreStart"
RESTORE_RUNTIME_DONE = "platform.restoreRuntimeDone"
RESTORE_REPORT = "platform.restoreReport"
START = "platform.start"
RUNTIME_DONE = "platform.runtimeDone"
REPORT = "platform.report"

MAX_METRIC = 1e15
"""JSON's numbers have no bound; ours have, and what is beyond is none of Lambda's."""


class PlatformEvent:
    """One event. `time_ns` is Unix time; Lambda gives it in whole milliseconds, cut off."""

    __slots__ = ("record", "time_ns", "type")

    def __init__(self, of_type: str, time_ns: int, record: "dict[str, Any]") -> None:
        self.type = of_type
        self.time_ns = time_ns
        self.record = record

    @property
    def request_id(self) -> str:
        return self.text("requestId")

    @property
    def status(self) -> str:
        """success, failure, error or timeout."""
        return self.text("status").lower()

    def text(self, name: str) -> str:
        """A member of the record as text; empty where it is not there."""
        return str(self.record.get(name) or "")

    def metric(self, name: str) -> float | None:
        """A member of record.metrics, in the unit that Lambda gives it in; None where it is not there."""
        metrics = self.record.get("metrics")
        value = metrics.get(name) if isinstance(metrics, dict) else None
        return float(value) if isinstance(value, (int, float)) and abs(value) < MAX_METRIC else None


class Unreadable(ValueError):
    """A batch, or an event of one, that is not as documented."""


def parse_batch(body: bytes) -> "Iterator[PlatformEvent]":
    """The events of one pushed body; those that cannot be read are left out. Raises Unreadable for the whole."""
    try:
        events = json1.loads(body)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if not isinstance(events, list):
        raise Unreadable(f"{type(events).__name__}, expected a list of events")
    for event in events:
        try:
            record = event["record"]
            yield PlatformEvent(event["type"], parse_time(event["time"]), record if isinstance(record, dict) else {})
        except (KeyError, TypeError, Unreadable):
            continue


def parse_time(text: str) -> int:
    """Unix ns of `2026-11-24T08:19:52.633Z`. By hand: datetime costs an import that nothing else here needs."""
    try:
        year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
        seconds = int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
        fraction = text[20:].rstrip("Zz") if text[19:20] == "." else ""
        nanoseconds = int(fraction.ljust(9, "0")[:9]) if fraction else 0
    except (TypeError, ValueError) as error:
        raise Unreadable(f"time {text!r}: {error}") from error
    return (_days_since_1970(year, month, day) * 86400 + seconds) * 1_000_000_000 + nanoseconds


def _days_since_1970(year: int, month: int, day: int) -> int:
    """Of the Gregorian calendar, with years that begin in March, so that the leap day is their last."""
    if month <= 2:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469
