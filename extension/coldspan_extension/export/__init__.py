"""The way out: one seam, behind which each lane turns our plain spans into bytes and sends them.

exporter.export(resource, spans, deadline_ns) -> Exported | Failed
exporter.close_idle()       before every event/next: no connection of ours is kept across a freeze
"""

from coldspan_extension.span import Attributes, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # typing takes 4 ms to import


class Exported:
    """The collector took the spans; `rejected` of them it did not want (partial success), and says why."""

    __slots__ = ("accepted", "message", "rejected")

    def __init__(self, accepted: int, rejected: int = 0, message: str = "") -> None:
        self.accepted = accepted
        self.rejected = rejected
        self.message = message


class Failed:
    """The spans did not arrive. If `retryable`, the same spans may be sent again, after `retry_after_s` where given."""

    __slots__ = ("reason", "retry_after_s", "retryable")

    def __init__(self, retryable: bool, reason: str, retry_after_s: "float | None" = None) -> None:
        self.retryable = retryable
        self.reason = reason
        self.retry_after_s = retry_after_s


class Exporter(Protocol):
    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> "Exported | Failed":
        """Sends the spans before `deadline_ns`, Unix time. Never raises for what the network or the peer does."""

    def close_idle(self) -> None:
        """Closes connections that nothing is in flight on."""
