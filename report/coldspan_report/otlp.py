"""Trace export requests in OTLP's two encodings: protobuf, and JSON (OTLP specification, "JSON Protobuf Encoding").

OTLP/JSON is protobuf's own JSON mapping but for the ids, which are hex where protobuf says base64. An id of 16 or 32
hex digits is base64, too, and comes back unchanged from decoding and encoding it; so protobuf's mapping does all the
work, and the ids are put right in the message.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["ExportTraceServiceRequest", "Undecodable", "from_json", "from_protobuf", "spans", "to_json"]

TRACE_ID_SIZE = 16
SPAN_ID_SIZE = 8


class Undecodable(ValueError):
    """The bytes are no trace export request; the message says what is wrong with them."""


def from_protobuf(body: bytes) -> ExportTraceServiceRequest:
    """Raises Undecodable."""
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise Undecodable(f"no ExportTraceServiceRequest: {error}") from error
    _check_ids(request)
    return request


def from_json(body: bytes) -> ExportTraceServiceRequest:
    """Unknown fields are passed over, as OTLP asks. Raises Undecodable."""
    request = ExportTraceServiceRequest()
    try:
        json_format.Parse(body, request, ignore_unknown_fields=True)
        _convert_ids(request, lambda base64: bytes.fromhex(b64encode(base64).decode()))
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise Undecodable(f"no OTLP/JSON export request: {error}") from error
    _check_ids(request)
    return request


def to_json(request: ExportTraceServiceRequest) -> str:
    """One line, {"resourceSpans":[...]}: hex ids, integer enums, 64-bit integers as decimal strings."""
    hexed = ExportTraceServiceRequest()
    hexed.CopyFrom(request)
    _convert_ids(hexed, lambda raw: b64decode(raw.hex()))
    return json.dumps(json_format.MessageToDict(hexed, use_integers_for_enums=True), separators=(",", ":"))


def spans(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def _check_ids(request: ExportTraceServiceRequest) -> None:
    for span in spans(request):
        for identified in (span, *span.links):
            if len(identified.trace_id) != TRACE_ID_SIZE or len(identified.span_id) != SPAN_ID_SIZE:
                raise Undecodable(f"the span {span.name!r} or a link of it has an id of the wrong size")
        if len(span.parent_span_id) not in (0, SPAN_ID_SIZE):
            raise Undecodable(f"the span {span.name!r} has a parent id of the wrong size")


def _convert_ids(request: ExportTraceServiceRequest, convert: Callable[[bytes], bytes]) -> None:
    for span in spans(request):
        span.parent_span_id = convert(span.parent_span_id)
        for identified in (span, *span.links):
            identified.trace_id = convert(identified.trace_id)
            identified.span_id = convert(identified.span_id)
