"""ClickHouse's own engine behind HTTP, with the table of the Collector's exporter, and spans in it as the exporter puts
them there (contrib, exporter/clickhouseexporter: attributes become strings, enumerations words, times DateTime64(9)).

The engine is chdb's, in this process. It answers as a server does: a POST has the statement, an error is its text.
"""

import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from chdb import session as chdb

TABLE = """CREATE TABLE otel_traces (
  Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
  SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
  ResourceAttributes Map(LowCardinality(String), String), ScopeName String, ScopeVersion String,
  SpanAttributes Map(LowCardinality(String), String), Duration UInt64, StatusCode LowCardinality(String),
  StatusMessage String,
  Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)),
  Links Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)"""
KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
CODES = ("Unset", "Ok", "Error")
STATUS_OF = {"60": 404, "81": 404}
"""By ClickHouse's error code: unknown table, unknown database."""


def rows(exports: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What the exporter inserts, of lines of OTLP/JSON."""
    for line in exports:
        for resource_spans in json.loads(line)["resourceSpans"]:
            resource = _texts(resource_spans["resource"]["attributes"])
            for scope_spans in resource_spans["scopeSpans"]:
                yield from (_row(span, resource) for span in scope_spans["spans"])


def _row(span: dict[str, Any], resource: dict[str, str]) -> dict[str, Any]:
    start_ns, end_ns = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
    events = span.get("events", [])
    return {
        "Timestamp": _seconds(start_ns),
        "TraceId": span["traceId"],
        "SpanId": span["spanId"],
        "ParentSpanId": span.get("parentSpanId", ""),
        "SpanName": span["name"],
        "SpanKind": KINDS[span["kind"]],
        "ServiceName": resource.get("service.name", ""),
        "ResourceAttributes": resource,
        "SpanAttributes": _texts(span.get("attributes", [])),
        "Duration": end_ns - start_ns,
        "StatusCode": CODES[span.get("status", {}).get("code", 0)],
        "Events.Timestamp": [_seconds(int(event["timeUnixNano"])) for event in events],
        "Events.Name": [event["name"] for event in events],
        "Events.Attributes": [_texts(event.get("attributes", [])) for event in events],
    }


def _texts(attributes: list[dict[str, Any]]) -> dict[str, str]:
    return {attribute["key"]: _text(attribute["value"]) for attribute in attributes}


def _text(value: dict[str, Any]) -> str:
    ((kind, held),) = value.items()
    if kind == "boolValue":
        return "true" if held else "false"
    if kind == "arrayValue":
        return json.dumps([_text(item) for item in held.get("values", [])])
    return str(held)


def _seconds(instant_ns: int) -> str:
    return f"{instant_ns // 10**9}.{instant_ns % 10**9:09d}"


def _session(folder: str) -> Any:
    return chdb.Session(folder)  # type: ignore[no-untyped-call]


@contextmanager
def server(folder: Path, exports: Iterable[str]) -> Iterator[str]:
    """host:port of one that has those spans in the table otel_traces of the database default."""
    session = _session(str(folder / "chdb"))
    inserted = folder / "rows.jsonl"
    inserted.write_text("\n".join(json.dumps(row) for row in rows(exports)))
    session.query("CREATE DATABASE IF NOT EXISTS default")
    session.query("USE default")
    session.query(TABLE)
    session.query(f"INSERT INTO otel_traces FROM INFILE '{inserted}' FORMAT JSONEachRow")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            statement = self.rfile.read(int(self.headers["Content-Length"])).decode()
            try:
                status, body = 200, session.query(statement).bytes()
            except Exception as error:
                code = re.search(r"Code: (\d+)", str(error))
                status, body = STATUS_OF.get(code[1] if code else "", 500), str(error).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()
            session.close()
