"""What invoked the function, from the facts that the wrapper took from the event (OpenTelemetry: faas.trigger)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HTTP, OTHER = "http", "other"


def trigger_of(facts: "Iterable[tuple[str, str]]") -> str:
    """`http` for API Gateway, Function URL and load balancer events, else `other`."""
    found = dict(facts)
    return HTTP if found.get("event.httpMethod") or found.get("event.requestContext") else OTHER
