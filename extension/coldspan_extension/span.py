"""A finished span as plain data: what assembly makes and every exporter turns into bytes."""

from coldspan_extension import semconv

MAX_TEXT, MAX_STACK = 4_096, 16_384
"""Characters of an attribute's text, and of an exception's stack."""

INTERNAL, SERVER = 1, 2
"""Span kinds by their OTLP numbers."""

Value = str | bool | int | float | list[str]
Attributes = dict[str, Value]


class Event:
    __slots__ = ("attributes", "name", "time_ns")

    def __init__(self, name: str, time_ns: int, attributes: Attributes) -> None:
        self.name = name
        self.time_ns = time_ns
        self.attributes = attributes


class Link:
    """To a span of another trace."""

    __slots__ = ("attributes", "span_id", "trace_id")

    def __init__(self, trace_id: bytes, span_id: bytes, attributes: Attributes) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.attributes = attributes


class Span:
    """Times are Unix ns, `end_ns` >= `start_ns`. An empty `parent_id` makes it the trace's root."""

    __slots__ = (
        "attributes",
        "end_ns",
        "error",
        "events",
        "kind",
        "links",
        "name",
        "parent_id",
        "parent_is_remote",
        "span_id",
        "start_ns",
        "status_message",
        "trace_id",
        "trace_state",
    )

    def __init__(
        self,
        name: str,
        trace_id: bytes,
        span_id: bytes,
        parent_id: bytes,
        start_ns: int,
        end_ns: int,
        attributes: Attributes,
        kind: int = INTERNAL,
    ) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.parent_is_remote = False
        self.trace_state = ""
        self.kind = kind
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.attributes = attributes
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.error = False
        self.status_message = ""

    def fail(self, error_type: str, message: str = "") -> None:
        """Status Error. The message is the exception's, where it adds something to its type."""
        self.error = True
        self.status_message = message
        self.attributes[semconv.ERROR_TYPE] = error_type


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Text as OTLP can carry it: without lone surrogates, and within the limit (characters)."""
    if text.isascii() and len(text) <= limit:
        return text
    return text[:limit].encode("utf-8", "replace").decode()


def cleaned(attributes: Attributes) -> Attributes:
    """Attributes as every lane sends them: names and texts clean and within their limits, integers of 64 bits. What has
    no name is left out, as OpenTelemetry's SDK does."""
    return {clean_text(name): _clean(name, value) for name, value in attributes.items() if name}


def _clean(name: str, value: Value) -> Value:
    if isinstance(value, str):
        return clean_text(value, MAX_STACK if name == semconv.EXCEPTION_STACKTRACE else MAX_TEXT)
    if isinstance(value, list):
        return [clean_text(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return max(-(1 << 63), min(value, (1 << 63) - 1))
