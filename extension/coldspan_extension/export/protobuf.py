"""OTLP/protobuf from our spans, and the little that is read of a collector's answer.

The protobuf package and OpenTelemetry's messages take 100 ms and 10 MB to import. What they make of the same spans is
the same; a test holds it. Field numbers: opentelemetry-proto 1.11.0, `opentelemetry/proto/{trace/v1/trace,
common/v1/common,resource/v1/resource,collector/trace/v1/trace_service}.proto`.
"""

from marshal import dumps

from coldspan_extension import semconv
from coldspan_extension.resource import SCOPE
from coldspan_extension.span import Attributes, Event, Link, Span, Value, clean_text, cleaned
from coldspan_wrapper import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""

REMOTE_IS_KNOWN, IS_REMOTE = 0x100, 0x200
"""Flags of a span and of a link: whether its parent, or target, is of another process."""


_BYTE = [bytes((value,)) for value in range(0x80)]
_KEY = [_BYTE[number << 3 | BYTES] for number in range(16)]
"""Most varints, and the keys of fields with a size, made once: there are thousands of them in a request."""


class Corrupt(ValueError):
    """Bytes that are no protobuf message."""


def export_request(resource: Attributes, spans: list[Span]) -> bytes:
    """An ExportTraceServiceRequest with one resource and one scope."""
    scope = _field(1, _text(1, SCOPE) + _text(2, __version__))
    schema = _text(3, semconv.SCHEMA_URL)
    scope_spans = scope + b"".join([_field(2, _span(span)) for span in spans]) + schema
    return _field(1, _field(1, _attributes(1, resource)) + _field(2, scope_spans) + schema)


def partial_success(body: bytes) -> tuple[int, str]:
    """Of an ExportTraceServiceResponse: how many spans were rejected, and the message. Raises Corrupt."""
    rejected, message = 0, ""
    for number, value in _fields(body):
        if number != 1 or not isinstance(value, bytes):
            continue
        for inner, told in _fields(value):
            if inner == 1 and isinstance(told, int):
                rejected = told
            elif inner == 2 and isinstance(told, bytes):
                message = told.decode("utf-8", "replace")
    return rejected, message


def _span(span: Span) -> bytes:
    flags = REMOTE_IS_KNOWN | IS_REMOTE if span.parent_is_remote else REMOTE_IS_KNOWN
    return b"".join(
        (
            _field(1, span.trace_id),
            _field(2, span.span_id),
            _text(3, span.trace_state),
            _field(4, span.parent_id) if span.parent_id else b"",
            _text(5, clean_text(span.name)),
            bytes((6 << 3 | VARINT, span.kind)),
            _fixed64(7, span.start_ns),
            _fixed64(8, span.end_ns),
            _attributes(9, span.attributes),
            *[_field(11, _event(event)) for event in span.events],
            *[_field(13, _link(link)) for link in span.links],
            _field(15, _text(2, clean_text(span.status_message)) + b"\x18\x02" if span.error else b""),
            _flags(16, flags),
        )
    )


def _event(event: Event) -> bytes:
    return _fixed64(1, event.time_ns) + _text(2, clean_text(event.name)) + _attributes(3, event.attributes)


def _link(link: Link) -> bytes:
    return _field(1, link.trace_id) + _field(2, link.span_id) + _attributes(4, link.attributes) + _flags(6, 0x100)


def _attributes(number: int, attributes: Attributes) -> bytes:
    pairs = cleaned(attributes).items()
    return b"".join([_field(number, _text(1, name) + _field(2, _value(value))) for name, value in pairs])


def _value(value: Value) -> bytes:
    """An AnyValue. Its member is there even where it is empty or zero: that tells its type."""
    if isinstance(value, str):
        return _field(1, value.encode())
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        return b"\x18" + _varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return b"\x21" + dumps(value, 2)[1:]  # its type and 8 bytes, little-endian: struct takes 0.3 ms to import
    return _field(5, b"".join([_field(1, _value(item)) for item in value]))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode()) if text else b""


def _field(number: int, data: bytes) -> bytes:
    size = len(data)
    return _KEY[number] + (_BYTE[size] if size < 0x80 else _varint(size)) + data


def _fixed64(number: int, value: int) -> bytes:
    return _BYTE[number << 3 | FIXED64] + value.to_bytes(8, "little") if value else b""


def _flags(number: int, flags: int) -> bytes:
    return _varint(number << 3 | FIXED32) + flags.to_bytes(4, "little")


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _BYTE[value]
    septets = bytearray()
    while value > 0x7F:
        septets.append(value & 0x7F | 0x80)
        value >>= 7
    septets.append(value)
    return bytes(septets)


def _fields(data: bytes) -> "Iterator[tuple[int, int | bytes]]":
    """Number and value of each varint and each run of bytes in a message; what has a fixed size is passed over. Raises
    Corrupt."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = _read_varint(data, at)
            yield number, value
            continue
        if wire_type == BYTES:
            size, at = _read_varint(data, at)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise Corrupt(f"field {number} has wire type {wire_type}")
        if at + size > len(data):
            raise Corrupt(f"field {number}: {len(data) - at} bytes, expected {size}")
        if wire_type == BYTES:
            yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where what follows it begins. Raises Corrupt."""
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
    raise Corrupt("a number without an end")
