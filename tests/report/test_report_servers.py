"""ClickHouse over HTTP: credentials, TLS, timeouts, answers that are none, with a peer that answers as it is told."""

import json
import socket
from pathlib import Path

import pytest

from coldspan_report.clickhouse import Address, ClickHouse, address, over_http
from coldspan_report.errors import ServerFailed, SourceInvalid
from coldspan_report.filters import Filter
from coldspan_report.servers import Connection
from coldspan_testing.certificates import authority, server_context
from coldspan_testing.http_peer import HttpPeer

HOUR_NS = 3_600 * 10**9


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


def at(url: str) -> Address:
    return Address(f"{url}/", "default", "otel_traces", "someone", "secret")


def asked(
    url: str, connection: Connection, sql: str = "SELECT count(*) AS spans FROM spans"
) -> list[dict[str, object]]:
    return ClickHouse(over_http(at(url), connection), "otel_traces", 0, HOUR_NS).rows(sql)


ROWS = answer(json.dumps({"meta": [{"name": "spans", "type": "UInt64"}], "data": [{"spans": "7"}]}).encode())


def test_an_address_has_defaults_and_the_environments_credentials() -> None:
    environ = {"CLICKHOUSE_USER": "someone", "CLICKHOUSE_PASSWORD": "secret"}
    assert address("clickhouse://host", environ) == Address(
        "http://host:8123/", "default", "otel_traces", "someone", "secret"
    )
    assert address("clickhouses://a:b%40c@[::1]:9/otel?table=traces", environ) == Address(
        "https://[::1]:9/", "otel", "traces", "a", "b@c"
    )
    with pytest.raises(SourceInvalid, match=r"clickhouse://\.\.\.: expected clickhouse://host:port/database"):
        address("clickhouse://host:99999", environ)


def test_a_query_has_its_window_the_credentials_and_our_headers() -> None:
    with HttpPeer([[ROWS]]) as peer:
        assert asked(peer.url, Connection(headers={"X-Scope": "fleet"})) == [{"spans": 7}]
    ((_, head, body),) = peer.requests
    assert head.startswith(b"POST /?database=default HTTP/1.1")
    for header in (b"X-ClickHouse-User: someone", b"X-ClickHouse-Key: secret", b"X-Scope: fleet"):
        assert header in head
    window = "WHERE Timestamp >= fromUnixTimestamp64Nano(toInt64(0)) AND Timestamp < fromUnixTimestamp64Nano(toInt64("
    assert f"{window}{HOUR_NS}))) SELECT COUNT(*) AS spans FROM spans FORMAT JSON" in body.decode()


def test_a_certificate_is_checked_against_the_file_that_is_named(tmp_path: Path) -> None:
    trusted = authority(tmp_path)
    context = server_context(tmp_path, "DNS:localhost")
    with HttpPeer([[ROWS]], tls=context) as peer:
        assert asked(peer.url, Connection(ca_file=str(trusted))) == [{"spans": 7}]
    with HttpPeer([[ROWS]], tls=context) as peer, pytest.raises(ServerFailed, match="certificate verify failed"):
        asked(peer.url, Connection())
    assert peer.requests == []


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerFailed, match=r"did not answer within 0\.1 s \(--timeout\)"):
            asked(url, Connection(timeout_s=0.1))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (answer(b"Code: 516. DB::Exception: Authentication failed", "403 Forbidden"), "answered 403: Code: 516"),
        (answer(b"", "302 Found", "Location: http://elsewhere/"), "answered 302"),
        (answer(b"Code: 81. (UNKNOWN_DATABASE)", "404 Not Found"), "has no database default"),
        (answer(b'{"meta": [], "data": [\nCode: 241. DB::Exception: Memory limit'), r"broke off: [^$]*Memory limit"),
        (answer(b"<html>"), "ClickHouse broke off: <html>"),
    ],
)
def test_what_is_no_answer_is_said(reply: bytes, said: str) -> None:
    with HttpPeer([[reply]]) as peer, pytest.raises(ServerFailed, match=said):
        asked(peer.url, Connection())


def test_quotes_and_backslashes_of_a_name_stay_within_it() -> None:
    statements: list[str] = []

    def note(statement: str) -> bytes:
        statements.append(statement)
        return b'{"meta": [], "data": []}'

    engine = ClickHouse(note, "otel_traces", 0, HOUR_NS)
    engine.restrict(Filter(service="it's \\' OR 1=1").condition)
    assert engine.rows("SELECT 1 AS one FROM spans") == []
    assert "service = 'it''s \\\\'' OR 1=1'" in statements[0]
