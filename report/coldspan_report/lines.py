"""Lines of a log: is there an export of traces in this one, and if not, what is it? Pure.

DuckDB reads the lines that are an export and nothing else. The others come here: CloudWatch Logs puts its timestamp in
front of a line when it exports, and quotes it in JSON or CSV when it is asked for it.
"""

import json
import re
from dataclasses import dataclass

BLANK, EXPORT, EMBEDDED, FOREIGN, OTHER = "blank", "export", "embedded", "foreign", "other"

_EXPORT = re.compile(rb'\{\s*"resourceSpans"\s*:')
_IN_JSON = re.compile(rb'"\{\s*\\"resourceSpans\\"')
_IN_CSV = re.compile(rb'"\{\s*""resourceSpans""')
_MARK = b"resourceSpans"

_FOREIGN = (
    ("OTLP logs", re.compile(rb'\{\s*"resourceLogs"\s*:')),
    ("OTLP metrics", re.compile(rb'\{\s*"resourceMetrics"\s*:')),
    ("OTLP profiles", re.compile(rb'\{\s*"resourceProfiles"\s*:')),
    ("X-Ray segments", re.compile(rb'^\[?\s*\{.*"trace_id"\s*:\s*"1-[0-9a-f]{8}-')),
    ("Zipkin spans", re.compile(rb'^\[?\s*\{(?=.*"traceId"\s*:)(?=.*"(localEndpoint|binaryAnnotations)"\s*:)')),
    ("Jaeger traces", re.compile(rb'^\[?\s*\{.*"traceID"\s*:')),
)


@dataclass(frozen=True, slots=True)
class Line:
    kind: str
    export: bytes = b""
    """Of an embedded one: the JSON text, in one line."""
    format: str = ""
    """Of a foreign one: whose it is."""


def classify(line: bytes) -> Line:
    text = line.strip()
    if not text:
        return Line(BLANK)
    if _MARK not in text:
        name = next((name for name, pattern in _FOREIGN if pattern.search(text)), "")
        return Line(FOREIGN, format=name) if name else Line(OTHER)
    if found := _EXPORT.search(text):
        return Line(EXPORT) if found.start() == 0 else Line(EMBEDDED, text[found.start() : text.rfind(b"}") + 1])
    if found := _IN_JSON.search(text):
        try:
            inner, _ = json.JSONDecoder().raw_decode(text[found.start() :].decode("utf-8", "replace"))
        except ValueError:
            return Line(EMBEDDED, text[found.start() :])  # cut short: DuckDB will reject it, as it is
        return Line(EMBEDDED, str(inner).encode().strip())
    if found := _IN_CSV.search(text):
        return Line(EMBEDDED, text[found.start() + 1 : text.rfind(b"}") + 1].replace(b'""', b'"'))
    return Line(OTHER)
