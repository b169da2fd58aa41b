"""Traces of a Jaeger, for a small window: its query API gives them as OTLP/JSON, and DuckDB is asked as of a file.

/api/v3: its parameters have snake-case names in Jaeger 1.76 and camel-case ones in 2, so both are sent.
Jaeger has no aggregation: of more traces than asked for it gives the newest, and the report says so.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from coldspan_report.errors import ServerFailed
from coldspan_report.servers import Connection, base_url, send, session

SCHEMES = {"jaeger+http": "http", "jaeger+https": "https"}
NONE = 404


class Jaeger:
    def __init__(self, source: str, connection: Connection) -> None:
        """`source` is jaeger+http://host:16686, also with a path before /api. Raises SourceInvalid."""
        self.url = base_url(source, SCHEMES, 16686)
        self._session = session(connection)
        self._timeout_s = connection.timeout_s

    def services(self) -> list[str]:
        """Raises ServerFailed."""
        return sorted(self._get("/api/v3/services").get("services") or [])

    def exports(self, service: str, since_ns: int, until_ns: int, limit: int) -> tuple[list[str], int]:
        """Lines of OTLP/JSON, and how many traces they are of, `limit` at most. Raises ServerFailed."""
        asked = {
            ("service_name", "serviceName"): service,
            ("start_time_min", "startTimeMin"): _rfc3339(since_ns),
            ("start_time_max", "startTimeMax"): _rfc3339(until_ns),
            ("num_traces", "searchDepth"): str(limit),
        }
        found = self._get(
            "/api/v3/traces", {f"query.{name}": value for names, value in asked.items() for name in names}
        )
        resources = found.get("result", {}).get("resourceSpans") or []
        lines = [json.dumps({"resourceSpans": [each]}, separators=(",", ":")) for each in resources]
        return lines, len({span["traceId"] for each in resources for span in _spans(each)})

    def _get(self, path: str, params: dict[str, str] | None = None) -> dict[str, Any]:
        reply = send(self._session, self._timeout_s, "GET", self.url + path, params=params)
        if reply.status_code == NONE and "No traces found" in reply.text:
            return {}
        if not reply.ok:
            raise ServerFailed(f"{self.url}{path} answered {reply.status_code}: {reply.text.strip()[:300]}")
        try:
            return dict(reply.json())
        except ValueError as error:
            raise ServerFailed(f"{self.url}{path} gave no JSON: is it Jaeger's query service?") from error


def _spans(resource_spans: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for scope_spans in resource_spans.get("scopeSpans", []):
        yield from scope_spans.get("spans", [])


def _rfc3339(instant_ns: int) -> str:
    moment = datetime.fromtimestamp(instant_ns // 10**9, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{instant_ns % 10**9:09d}Z"
