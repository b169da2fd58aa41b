"""Tempo: what its metrics count is what DuckDB counts, and what it says when it does not answer.

No Tempo can be had here: coldspan_testing.tempo stands in for it, as its documentation and source describe it.
"""

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coldspan_extension import attributes, semconv
from coldspan_report import tempo, tempo_counts, traceql
from coldspan_report.answers import Answers, ask
from coldspan_report.embedded import Embedded
from coldspan_report.errors import ServerFailed, SourceInvalid
from coldspan_report.filters import Filter
from coldspan_report.servers import Connection
from coldspan_report.sources import files
from coldspan_report.tempo import Tempo
from coldspan_report.tempo_counts import Counts
from coldspan_testing import tempo as stand_in
from coldspan_testing import traceql as grammar
from coldspan_testing.certificates import authority, server_context
from coldspan_testing.http_peer import HttpPeer

T0_NS = 1_795_525_572_000_000_000
MINUTE_NS = 60 * 10**9
WINDOW = Filter(since_ns=T0_NS - MINUTE_NS, until_ns=T0_NS + 59 * MINUTE_NS)
COUNTED = ("starts", "failures", "billing", "dropped")
"""Questions that the metrics answer exactly."""


def line(
    number: int, version: str, ms: int, *, parent: int = 0, kind: int = 2, name: str = "orders", **has: Any
) -> str:
    """An export of one span, a minute after the one before; attributes have "__" for the dots in their names."""
    start_ns = T0_NS + number * MINUTE_NS
    fields = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    error = has.pop("error", False)
    of_span = [{"key": key.replace("__", "."), "value": {fields[type(value)]: value}} for key, value in has.items()]
    span = {
        "traceId": f"{parent or number:032x}",
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent else "",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(start_ns),
        "endTimeUnixNano": str(start_ns + ms * 10**6),
        "attributes": of_span,
        "status": {"code": 2 if error else 0},
    }
    of_resource = [
        {"key": "service.name", "value": {"stringValue": "orders"}},
        {"key": "faas.version", "value": {"stringValue": version}},
        {"key": "faas.max_memory", "value": {"intValue": 512 << 20}},
    ]
    scope_spans = [{"spans": [span]}]
    return json.dumps({"resourceSpans": [{"resource": {"attributes": of_resource}, "scopeSpans": scope_spans}]})


COLD: dict[str, Any] = {
    "faas__coldstart": True,
    "coldspan__init__type": "on-demand",
    "coldspan__invocation__sequence": 1,
}
WARM: dict[str, Any] = {"faas__coldstart": False, "coldspan__invocation__sequence": 2}
INIT: dict[str, Any] = {"name": "init", "kind": 1, "coldspan__phase": "init", "coldspan__init__type": "on-demand"}
LINES = [
    line(1, "1", 900, **COLD),
    line(2, "1", 600, parent=1, **INIT, coldspan__init__duration=0.5),
    line(3, "1", 20, **WARM, error=True, error__type="timeout", coldspan__dropped__records=3),
    line(4, "1", 30, **WARM),
    line(5, "2", 1500, **COLD, error=True, error__type="ValueError"),
    line(6, "2", 700, parent=5, **INIT),
    line(7, "2", 25, **WARM, error=True, error__type="timeout"),
    line(8, "2", 40, parent=7, name="after response", kind=1, coldspan__billed_duration=0.3),
    line(9, "2", 800, **INIT, coldspan__init__proactive=True, error=True),
    line(10, "2", 35, **(WARM | COLD | {"faas__coldstart": False}), coldspan__init__proactive=True),
    line(11, "2", 35, **(COLD | {"faas__coldstart": False})),
    line(12, "2", 950, **COLD, coldspan__init__phase="invoke"),
    line(13, "2", 30, **WARM),
]


@pytest.fixture(scope="module")
def server() -> Iterator[stand_in.StandIn]:
    with stand_in.server(LINES) as running:
        yield running


def at(url: str, **connection: Any) -> Tempo:
    return Tempo(f"tempo+{url}", Connection(**connection))


def answers(path: Path, counts: Counts | None = None, filters: Filter = WINDOW) -> Answers:
    with Embedded(lambda what, share: None) as engine:
        engine.load(files([str(path)], engine.folder))
        return ask(engine, [path.name], filters, engine.reading, 1.0, None, counts)


def read(source: Tempo, path: Path, limit: int) -> Answers:
    fetched = tempo.fetch(source, [WINDOW], limit, path, lambda what, share: None)
    return answers(path, Counts(source) if fetched.cut else None)


@pytest.fixture(scope="module")
def of_files(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    path = tmp_path_factory.mktemp("files") / "log"
    path.write_text("\n".join(LINES))
    return answers(path)


def test_a_sample_that_has_everything_gives_the_answers_of_a_file(
    server: stand_in.StandIn, of_files: Answers, tmp_path: Path
) -> None:
    found = read(at(server.url), tmp_path / "lines", 10)
    assert found.sample is None
    assert found.rows == of_files.rows


def test_counts_and_rates_are_of_all_however_small_the_sample(
    server: stand_in.StandIn, of_files: Answers, tmp_path: Path
) -> None:
    found = read(at(server.url), tmp_path / "lines", 1)
    assert found.sample is not None
    assert (found.sample.cold, found.sample.cold_of, found.sample.warm, found.sample.warm_of) == (1, 3, 1, 6)
    for name in COUNTED:
        assert found.rows[name] == of_files.rows[name], name
    assert found.scope["requests"] == of_files.scope["requests"] == 9
    for mine, theirs in zip(found.rows["versions"], of_files.rows["versions"], strict=True):
        same = ("service", "version", "requests", "cold", "cold_rate")
        assert [mine[name] for name in same] == [theirs[name] for name in same]
        assert theirs["first_ns"] - 3 * MINUTE_NS < mine["first_ns"] <= theirs["first_ns"]
    assert sum(row["requests"] for row in found.rows["timeline"]) == 9
    assert sum(row["cold"] for row in found.rows["timeline"]) == 3
    assert found.bill == of_files.bill


def test_percentiles_are_tempos_estimates_and_none_is_above_the_longest(
    server: stand_in.StandIn, of_files: Answers, tmp_path: Path
) -> None:
    found = read(at(server.url), tmp_path / "lines", 1).rows["latency"]
    for mine, theirs in zip(found, of_files.rows["latency"], strict=True):
        assert (mine["start"], mine["requests"]) == (theirs["start"], theirs["requests"])
        assert mine["max_ms"] == pytest.approx(theirs["max_ms"])
        for name in ("p50_ms", "p95_ms", "p99_ms"):
            assert theirs[name] / 2 <= mine[name] <= min(theirs[name] * 2, mine["max_ms"])


def test_kinds_that_are_read_whole_keep_their_exact_percentiles(
    server: stand_in.StandIn, of_files: Answers, tmp_path: Path
) -> None:
    found = read(at(server.url), tmp_path / "lines", 3)
    assert found.sample is not None
    assert found.sample.cold == found.sample.cold_of
    assert found.rows["latency"][0] == of_files.rows["latency"][0]
    assert found.rows["latency"][1] != of_files.rows["latency"][1]


def test_grafanas_grammar_reads_each_query_and_each_attribute_is_coldspans(
    server: stand_in.StandIn, tmp_path: Path
) -> None:
    read(at(server.url), tmp_path / "lines", 1)
    filters = Filter("it's \"\\ orders", "$LATEST", WINDOW.since_ns, WINDOW.until_ns)
    Counts(at(server.url)).totals(filters)
    known = {name for module in (attributes, semconv) for name in vars(module).values() if isinstance(name, str)}
    for text, query in zip(server.queries, grammar.parse(server.queries), strict=True):
        assert query.errors == [], text
        assert {name for _, name in query.attributes} <= known, text


def test_names_with_quotes_stay_within_them(server: stand_in.StandIn) -> None:
    counts = Counts(at(server.url))
    assert counts.totals(replace(WINDOW, service='orders" || span:kind = "server')) == {}
    assert counts.totals(replace(WINDOW, service="orders", version="1")) == {"cold": 1, "warm": 2}


def test_a_trace_that_is_found_and_not_given_is_counted(tmp_path: Path) -> None:
    with stand_in.server(LINES, hidden=1) as running:
        fetched = tempo.fetch(at(running.url), [WINDOW], 10, tmp_path / "lines", lambda what, share: None)
    assert (fetched.lacking, fetched.cut) == (1, {"cold"})


STARTS = [
    ({traceql.COLDSTART: True, traceql.TYPE: "on-demand"}, "on-demand"),
    ({traceql.COLDSTART: True, traceql.TYPE: None}, "unknown"),
    ({traceql.COLDSTART: True, traceql.TYPE: "on-demand", traceql.PHASE: "invoke"}, "init repeated"),
    ({traceql.COLDSTART: False, traceql.TYPE: "on-demand", traceql.PROACTIVE: True}, "proactive"),
    ({traceql.COLDSTART: False, traceql.TYPE: "snap-start"}, "snap-start, ahead"),
]


@pytest.mark.parametrize(("labels", "word"), STARTS)
def test_a_start_has_the_word_that_the_question_has_for_it(labels: tempo.Labels, word: str) -> None:
    assert tempo_counts.start_word(labels) == word


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


FAILURES = [
    (answer(b"no org id", "401 Unauthorized"), r"answered 401: no org id; name the tenant: --header 'X-Scope-OrgID: "),
    (answer(b"", "401 Unauthorized"), r"answered 401: Unauthorized; .*--header 'Authorization: \.\.\.'"),
    (answer(b"404 page not found\n", "404 Not Found"), r"answered 404: 404 page not found; is it Tempo's HTTP API"),
    (answer(b"job queue full", "429 Too Many Requests"), r"answered 429: job queue full; it is busy: ask again later"),
    (
        answer(b"metrics query time range exceeds the maximum allowed duration of 24h0m0s", "400 Bad Request"),
        r"answered 400: metrics .* of 24h0m0s; ask for less time \(--since, --until\)",
    ),
    (answer(b"", "302 Found"), "answered 302: Found"),
    (answer(b"<html>"), r"gave no JSON object: is it Tempo's HTTP API\?"),
    (answer(b"[]"), r"gave no JSON object: is it Tempo's HTTP API\?"),
    (
        answer(b'{"status":"PARTIAL","message":"maximum series limit of 10"}'),
        "answered in part only: maximum series limit of 10",
    ),
]


@pytest.mark.parametrize(("reply", "said"), FAILURES)
def test_what_is_no_answer_is_said(reply: bytes, said: str) -> None:
    with HttpPeer([[reply]]) as peer, pytest.raises(ServerFailed, match=f"/api/metrics/query {said}"):
        at(peer.url).values("{ } | count_over_time()", 0, 1)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServerFailed, match=r"did not answer within 0\.1 s \(--timeout\)"):
            at(url, timeout_s=0.1).newest("{ }", 0, 1, 1)


def test_headers_and_the_files_of_tls_reach_it(tmp_path: Path) -> None:
    trusted, context = authority(tmp_path), server_context(tmp_path, "DNS:localhost")
    with HttpPeer([[answer(b"{}")]], tls=context) as peer:
        source = at(peer.url, ca_file=str(trusted), headers={"X-Scope-OrgID": "fleet"})
        assert source.newest("{ }", 0, 10**9, 7) == []
    ((_, head, _),) = peer.requests
    assert b"X-Scope-OrgID: fleet" in head
    assert head.startswith(b"GET /api/search?q=%7B+%7D+with+%28most_recent%3Dtrue%29&start=0&end=1&limit=7&spss=1 ")
    with (
        HttpPeer([[answer(b"{}")]], tls=context) as peer,
        pytest.raises(ServerFailed, match="certificate verify failed"),
    ):
        at(peer.url).newest("{ }", 0, 1, 1)


def test_an_address_has_no_credentials_in_it() -> None:
    for source in ("tempo+http://a:b@host", "tempo+http://", "tempo+https://host/?x=1"):
        with pytest.raises(SourceInvalid, match=r"expected tempo\+https?://host:3200; credentials go into --header"):
            Tempo(source, Connection())
    assert Tempo("tempo+https://host/tempo/", Connection()).url == "https://host/tempo"
