"""Traces as OTLP/JSON lines on stdout, where no endpoint is set: they land in the function's log group."""

import posix as os

from coldspan_extension import json1, semconv
from coldspan_extension.export import Exported, Failed
from coldspan_extension.resource import SCOPE
from coldspan_extension.span import Attributes, Event, Link, Span, Value, clean_text, cleaned
from coldspan_wrapper import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_LINE = 200_000
"""Bytes: CloudWatch Logs cuts an event at 256 kB. A larger trace takes several lines."""


class StdoutExporter:
    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported | Failed:
        try:
            for line in lines_of(resource, spans):
                _write(line.encode("ascii") + b"\n")
        except OSError as error:
            return Failed(False, f"stdout: {error}")
        return Exported(len(spans))

    def close_idle(self) -> None:
        """There is no connection."""


def lines_of(resource: Attributes, spans: list[Span]) -> list[str]:
    """Lines of {"resourceSpans":[...]}, each below MAX_LINE, with every span in one of them."""
    head = _line(resource, [])
    lines: list[str] = []
    batch: list[str] = []
    size = len(head)
    for span in map(_span_json, spans):
        if batch and size + len(span) + 1 > MAX_LINE:
            lines.append(_line(resource, batch))
            batch, size = [], len(head)
        batch.append(span)
        size += len(span) + 1
    return [*lines, _line(resource, batch)] if batch else lines


def _line(resource: Attributes, spans: list[str]) -> str:
    scope = {"name": SCOPE, "version": __version__}
    envelope = json1.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes(resource)},
                    "scopeSpans": [{"scope": scope, "spans": [], "schemaUrl": semconv.SCHEMA_URL}],
                    "schemaUrl": semconv.SCHEMA_URL,
                }
            ]
        }
    )
    return envelope.replace('"spans":[]', '"spans":[' + ",".join(spans) + "]", 1) if spans else envelope


def _span_json(span: Span) -> str:
    """OTLP/JSON (OTLP specification, JSON Protobuf Encoding): hex ids, integer enums, 64-bit integers as text."""
    fields: dict[str, Any] = {
        "traceId": span.trace_id.hex(),
        "spanId": span.span_id.hex(),
        "parentSpanId": span.parent_id.hex(),
        "traceState": span.trace_state,
        "flags": 0x300 if span.parent_is_remote else 0x100,
        "name": clean_text(span.name),
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
        "events": [_event(event) for event in span.events],
        "links": [_link(link) for link in span.links],
        "status": {"code": 2, "message": clean_text(span.status_message)} if span.error else {},
    }
    return json1.dumps({name: value for name, value in fields.items() if value or name == "kind"})


def _event(event: Event) -> "dict[str, Any]":
    return {"timeUnixNano": str(event.time_ns), "name": event.name, "attributes": _attributes(event.attributes)}


def _link(link: Link) -> "dict[str, Any]":
    ids = {"traceId": link.trace_id.hex(), "spanId": link.span_id.hex()}
    return {**ids, "attributes": _attributes(link.attributes), "flags": 0x100}


def _attributes(attributes: Attributes) -> "list[dict[str, Any]]":
    return [{"key": key, "value": _value(value)} for key, value in cleaned(attributes).items()]


def _value(value: Value) -> "dict[str, Any]":
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(item) for item in value]}}


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
