"""The parent that an event brings: W3C Trace Context in its HTTP headers (https://www.w3.org/TR/trace-context/)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TRACESTATE = 512
_HEX = frozenset("0123456789abcdef")


class Parent:
    """A remote span context."""

    __slots__ = ("sampled", "span_id", "trace_id", "trace_state")

    def __init__(self, trace_id: bytes, span_id: bytes, sampled: bool, trace_state: str) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled
        self.trace_state = trace_state


def parent_of(facts: "Iterable[tuple[str, str]]") -> "Parent | None":
    """The context of the facts `header.traceparent` and `header.tracestate`; None where there is no valid one."""
    headers = dict(facts)
    parent = parse_traceparent(headers.get("header.traceparent", ""))
    if parent is not None:
        parent.trace_state = parse_tracestate(headers.get("header.tracestate", ""))
    return parent


def parse_tracestate(value: str) -> str:
    """`key=value,key2=value2` without what is no such member and without repeated keys; empty if it is too long."""
    members: dict[str, str] = {}
    for member in value.split(","):
        key, equals, state = member.strip().partition("=")
        if key and equals and member.isascii() and member.isprintable():
            members.setdefault(key, state)
    joined = ",".join([f"{key}={state}" for key, state in members.items()])
    return joined if len(joined) <= MAX_TRACESTATE else ""


def parse_traceparent(value: str) -> "Parent | None":
    """`00-<32 hex>-<16 hex>-<2 hex>`. A higher version may have more fields; two joined headers are none."""
    fields = value.strip().split("-")
    if len(fields) < 4 or [len(field) for field in fields[:4]] != [2, 32, 16, 2]:
        return None
    version, trace_id, span_id, flags = fields[:4]
    if not all(set(field) <= _HEX for field in fields[:4]) or version == "ff" or "," in value:
        return None
    if (version == "00" and len(fields) > 4) or set(trace_id) == {"0"} or set(span_id) == {"0"}:
        return None
    return Parent(bytes.fromhex(trace_id), bytes.fromhex(span_id), bool(int(flags, 16) & 1), "")
