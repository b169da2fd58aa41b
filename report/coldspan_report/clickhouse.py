"""The fleet's engine: the questions run in ClickHouse, on the table that the OpenTelemetry Collector's exporter fills.

A window of time bounds every query, and only results come back. What carries a statement to the server is an argument:
HTTP here, the engine in this process in the tests. No setting is changed: a read-only user may ask.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import requests

from coldspan_report.answers import Row
from coldspan_report.errors import ServerFailed, SourceInvalid
from coldspan_report.questions import to_clickhouse
from coldspan_report.relation import clickhouse_select
from coldspan_report.servers import Connection, send, session

SCHEMES = {
    "clickhouse": "http",
    "clickhouse+http": "http",
    "clickhouses": "https",
    "clickhouse+https": "https",
}
PORTS = {"http": 8123, "https": 8443}
TABLE = "otel_traces"
NO_TABLE, NO_DATABASE = "UNKNOWN_TABLE", "UNKNOWN_DATABASE"
Ask = Callable[[str], bytes]
"""Sends a statement that ends in FORMAT JSON, and gives the answer. Raises ServerFailed."""


class ClickHouse:
    def __init__(self, ask: Ask, table: str, since_ns: int, until_ns: int) -> None:
        self._ask = ask
        self._relation = clickhouse_select(table, since_ns, until_ns)
        self._spans = self._relation

    def restrict(self, condition: str) -> None:
        """From now on the questions see those spans only."""
        where = to_clickhouse(f"SELECT 1 WHERE {condition}").partition(" WHERE ")[2] if condition else ""
        self._spans = f"SELECT * FROM ({self._relation}) WHERE {where}" if where else self._relation

    def rows(self, sql: str) -> list[Row]:
        """Raises ServerFailed."""
        statement = to_clickhouse(sql)
        rest = f", {statement[5:]}" if statement.startswith("WITH ") else f" {statement}"
        answer = self._ask(f"WITH spans AS ({self._spans}){rest} FORMAT JSON")
        try:
            found = json.loads(answer)
            types = {column["name"]: column["type"] for column in found["meta"]}
            return [{name: _value(value, types[name]) for name, value in row.items()} for row in found["data"]]
        except (ValueError, KeyError, TypeError) as error:
            # An error after the answer has begun is text at its end.
            raise ServerFailed(f"ClickHouse broke off: {answer[-300:].decode('utf-8', 'replace')}") from error


def _value(value: Any, of_type: str) -> Any:
    """Servers quote 64-bit integers, or do not."""
    return int(value) if isinstance(value, str) and "Int" in of_type else value


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    """http or https, without what is secret."""
    database: str
    table: str
    user: str
    password: str


def address(source: str, environ: Mapping[str, str] = os.environ) -> Address:
    """Of clickhouse://user:password@host:8123/database?table=otel_traces. Raises SourceInvalid."""
    parts = urlsplit(source)
    query = parse_qs(parts.query)
    scheme = SCHEMES[parts.scheme]
    try:
        port = parts.port or PORTS[scheme]
    except ValueError:
        port = 0
    if not parts.hostname or not port or set(query) - {"table"}:
        raise SourceInvalid(f"{parts.scheme}://...: expected {parts.scheme}://host:port/database?table={TABLE}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(
        f"{scheme}://{host}:{port}/",
        parts.path.strip("/") or "default",
        query.get("table", [TABLE])[0],
        unquote(parts.username or "") or environ.get("CLICKHOUSE_USER", ""),
        unquote(parts.password or "") or environ.get("CLICKHOUSE_PASSWORD", ""),
    )


def over_http(to: Address, connection: Connection) -> Ask:
    opened = session(connection)
    if to.user:
        opened.headers["X-ClickHouse-User"] = to.user
        opened.headers["X-ClickHouse-Key"] = to.password

    def ask(statement: str) -> bytes:
        where = {"database": to.database}
        answer = send(opened, connection.timeout_s, "POST", to.url, params=where, data=statement.encode())
        if answer.status_code != requests.codes.ok:
            raise ServerFailed(_refusal(to, answer.status_code, answer.text))
        return answer.content

    return ask


def _refusal(to: Address, status: int, text: str) -> str:
    if NO_TABLE in text:
        return (
            f"{to.url} has no table {to.table} in the database {to.database}; another one is named so: "
            "clickhouse://host/database?table=name"
        )
    if NO_DATABASE in text:
        return f"{to.url} has no database {to.database}"
    return f"{to.url} answered {status}: {text.strip()[:300]}"


def table_name(to: Address) -> str:
    """Quoted."""
    return ".".join(f"`{name.replace('`', '')}`" for name in (to.database, to.table))
