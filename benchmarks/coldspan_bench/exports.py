"""What arrived at the collector, decoded as far as it is OTLP."""

import gzip
from collections.abc import Iterable

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from coldspan_bench.environment import Export
from coldspan_report import otlp

SERVER = 2
TRACES = "POST /v1/traces"


def servers(exports: Iterable[Export]) -> int:
    """The SERVER spans: one for each invocation that was traced whole. Raises otlp.Undecodable."""
    return sum(span.kind == SERVER for span in _spans(exports))


def figures(exports: list[Export]) -> dict[str, float]:
    """None where nothing arrived. Raises otlp.Undecodable."""
    if not exports:
        return {}
    return {
        "requests": float(sum(export.path != "UDP" for export in exports)),
        "datagrams": float(sum(export.path == "UDP" for export in exports)),
        "spans": float(len(_spans(exports))),
        "bytes exported": float(sum(len(export.body) for export in exports)),
    }


def _spans(exports: Iterable[Export]) -> list[Span]:
    return [span for export in exports if export.path == TRACES for span in otlp.spans(_decoded(export))]


def _decoded(export: Export) -> otlp.ExportTraceServiceRequest:
    body = gzip.decompress(export.body) if export.encoding == "gzip" else export.body
    return otlp.from_json(body) if "json" in export.content_type else otlp.from_protobuf(body)
