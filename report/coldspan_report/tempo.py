"""Tempo over its HTTP API: TraceQL metrics for what is counted, for the rest a sample, the newest traces of each kind.

The paths, their parameters and what they answer are those of Tempo's own documentation ("Tempo HTTP API") and of
pkg/tempopb/tempo.proto in protobuf's JSON: fields that are 0 or empty are left out, ids are base64, enumerations names.
Instants are passed in ns where the API takes them, in seconds to /api/search.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import json_format

from coldspan_report import otlp, traceql
from coldspan_report.errors import ServerFailed
from coldspan_report.filters import Filter
from coldspan_report.servers import Connection, base_url, send, session

SCHEMES = {"tempo+http": "http", "tempo+https": "https"}
OK, NONE = 200, 404
SECOND_NS = 10**9

Labels: TypeAlias = dict[str, Any]
"""By the attribute's name as the query has it; None where a span does not have it."""

HINTS = (
    ("no org id", "name the tenant: --header 'X-Scope-OrgID: NAME'"),
    ("maximum allowed duration", "ask for less time (--since, --until)"),
    ("range specified by start and end exceeds", "ask for less time (--since, --until)"),
    ("exceeds max limit", "ask for fewer traces (--sample)"),
    ("job queue full", "it is busy: ask again later, or for less time (--since)"),
)
"""What to do about Tempo's own words."""
HINTS_BY_STATUS = {
    401: "pass what it asks for: --header 'Authorization: ...'",
    403: "pass what it asks for: --header 'Authorization: ...'",
    404: "is it Tempo's HTTP API, by default on port 3200?",
    429: "ask again later, or for less time (--since)",
}


class Tempo:
    def __init__(self, source: str, connection: Connection) -> None:
        """`source` is tempo+http://host:3200, also with a path before /api. Raises SourceInvalid."""
        self.url = base_url(source, SCHEMES, 3200)
        self._session = session(connection)
        self._timeout_s = connection.timeout_s

    def values(self, query: str, since_ns: int, until_ns: int) -> list[tuple[Labels, float]]:
        """One number for the whole window from each series of a metrics query. Raises ServerFailed."""
        found = self._metrics("/api/metrics/query", query, since_ns, until_ns)
        return [(_labels(series), float(series.get("value", 0))) for series in found]

    def steps(self, query: str, since_ns: int, until_ns: int, step_s: int) -> list[tuple[Labels, dict[int, float]]]:
        """A number for each step, by its begin in ns; Tempo names a step by its end. Raises ServerFailed."""
        found = self._metrics("/api/metrics/query_range", query, since_ns, until_ns, step=f"{step_s}s")
        return [
            (
                _labels(series),
                {
                    int(sample.get("timestampMs", 0)) * 10**6 - step_s * SECOND_NS: float(sample.get("value", 0))
                    for sample in series.get("samples", [])
                },
            )
            for series in found
        ]

    def newest(self, spanset: str, since_ns: int, until_ns: int, limit: int) -> list[dict[str, Any]]:
        """Of the traces that have such spans, as /api/search describes them. Raises ServerFailed."""
        asked = {
            "q": f"{spanset} with (most_recent=true)",
            "start": since_ns // SECOND_NS,
            "end": -(-until_ns // SECOND_NS),
            "limit": limit,
            "spss": 1,
        }
        return [each | {"traceID": each["traceID"].zfill(32)} for each in self._get("/api/search", asked)["traces"]]

    def trace(self, trace_id: str) -> tuple[str, bool]:
        """A line of OTLP/JSON, empty where Tempo does not find it, and whether it is whole. Raises ServerFailed."""
        found = self._get(f"/api/v2/traces/{trace_id}", {}, may_be_missing=True)
        if not found["trace"]:
            return "", False
        try:
            export = json_format.ParseDict(found["trace"], otlp.ExportTraceServiceRequest(), ignore_unknown_fields=True)
        except json_format.ParseError as error:
            raise ServerFailed(f"{self.url}: the trace {trace_id} is no OTLP: {error}") from error
        return otlp.to_json(export), found["status"] == "COMPLETE"

    def _metrics(self, path: str, query: str, since_ns: int, until_ns: int, **more: str) -> list[dict[str, Any]]:
        found = self._get(path, {"q": query, "start": since_ns, "end": until_ns, **more})
        if found["status"] != "COMPLETE":
            raise ServerFailed(f"{self.url}{path} answered in part only: {found['message']}")
        return list(found["series"])

    def _get(self, path: str, params: dict[str, Any], may_be_missing: bool = False) -> dict[str, Any]:
        reply = send(self._session, self._timeout_s, "GET", self.url + path, params=params)
        empty: dict[str, Any] = {"traces": [], "trace": {}, "series": [], "status": "COMPLETE", "message": ""}
        if may_be_missing and reply.status_code == NONE:
            return empty
        if reply.status_code != OK:
            said = reply.text.strip()[:300] or reply.reason
            hints = [hint for words, hint in HINTS if words in said] or [HINTS_BY_STATUS.get(reply.status_code, "")]
            hint = f"; {hints[0]}" if hints[0] else ""
            raise ServerFailed(f"{self.url}{path} answered {reply.status_code}: {said}{hint}")
        try:
            found = reply.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ServerFailed(f"{self.url}{path} gave no JSON object: is it Tempo's HTTP API?")
        return empty | found


def _labels(series: dict[str, Any]) -> Labels:
    return {label["key"]: _value(label.get("value", {})) for label in series.get("labels", [])}


def _value(of: dict[str, Any]) -> str | int | float | bool | None:
    """Of an AnyValue. An attribute that is not there is the text nil."""
    if "intValue" in of:
        return int(of["intValue"])
    value: str | float | bool | None = next(iter(of.values()), None)
    return None if value == "nil" else value


@dataclass(slots=True)
class Fetched:
    """What of the traces that were asked for is there."""

    cut: set[str] = field(default_factory=set)
    """Kinds of which there are more, or not all was given."""
    lacking: int = 0
    """Traces that were found, and not given or not whole."""


def fetch(
    tempo: Tempo, wanted: Sequence[Filter], limit: int, path: Path, progress: Callable[[str, float], None]
) -> Fetched:
    """Writes the newest traces of each kind, `limit` at most within each filter, as lines. Raises ServerFailed."""
    fetched = Fetched()
    traces: dict[str, str] = {}
    for filters in wanted:
        for kind, condition in traceql.KINDS.items():
            progress("Searching", 0)
            spanset = traceql.spans(filters, condition)
            found = tempo.newest(spanset, filters.since_ns or 0, filters.until_ns or 0, limit + 1)
            traces |= {trace["traceID"]: kind for trace in found[:limit]}
            fetched.cut |= {kind} if len(found) > limit else set()
    with path.open("w", encoding="utf-8") as file:
        for number, (trace_id, kind) in enumerate(traces.items()):
            progress("Fetching traces", number / len(traces))
            line, whole = tempo.trace(trace_id)
            file.write(f"{line}\n" if line else "")
            fetched.lacking += not whole
            fetched.cut |= set() if whole else {kind}
    return fetched
