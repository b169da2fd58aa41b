"""`coldspan report` over real cold starts: three functions in three versions, the third of one with a slow import.

The same spans as a log, as Parquet, in ClickHouse and in Tempo's stand-in must give the same answers.
"""

import functools
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from coldspan_lab import cli
from coldspan_lab.run import Plan, run
from coldspan_lab.screen import Progress
from coldspan_lab.service import Function
from coldspan_report import answers, otlp
from coldspan_testing import clickhouse, tempo, traceql, trees
from coldspan_testing.jaeger import Jaeger, Trace

Coldspan = Callable[..., "subprocess.CompletedProcess[str]"]

FUNCTIONS = ("orders", "payments", "mail")
VERSIONS = ("1", "2", "3")
INVOCATIONS = 4
SLOW = ("payments", "3")
"""Whose version imports `tariffs`, at line 2 of its app.py, for 0.2 s."""
SCHEMA = Path(answers.__file__).with_name("answers.schema.json")


@dataclass(frozen=True, slots=True)
class Sources:
    log: Path
    parquet: Path
    server: str


def function(folder: Path, name: str, version: str) -> Function:
    code = folder / f"{name}-{version}"
    code.mkdir()
    slow = (name, version) == SLOW
    (code / "app.py").write_text(
        f"import json\n{'import tariffs' if slow else ''}\n\ndef handler(event, context):\n    return event\n"
    )
    (code / "tariffs.py").write_text("import time\n\ntime.sleep(0.2)\n")
    return Function(code, name=name, version=version)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Lines of OTLP/JSON: version after version, each function cold once and then warm."""
    folder = tmp_path_factory.mktemp("functions")
    found = []
    for version in VERSIONS:
        for name in FUNCTIONS:
            plan = Plan(function(folder, name, version), (b"{}",) * INVOCATIONS, trees.layer_tree())
            found += [otlp.to_json(export) for export in run(plan, Progress(io.StringIO())).exports]
    return found


@pytest.fixture(scope="module")
def server(exports: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with clickhouse.server(tmp_path_factory.mktemp("clickhouse"), exports) as address:
        yield address


def has(spans: int, traces: list[Trace]) -> bool:
    return sum(len(trace.spans) for trace in traces) == spans


@pytest.fixture(scope="module")
def jaeger(exports: list[str]) -> Iterator[str]:
    """The address of one that has those spans."""
    with Jaeger() as running:
        for line in exports:
            headers = {"Content-Type": "application/json"}
            requests.post(f"{running.endpoint_http}/v1/traces", line.encode(), headers=headers, timeout=10)
        for name in FUNCTIONS:
            mine = [row for row in clickhouse.rows(exports) if row["ServiceName"] == name]
            running.traces(name, functools.partial(has, len(mine)))
        yield f"jaeger+{running.query}"


@pytest.fixture(scope="module")
def tempo_server(exports: list[str]) -> Iterator[tempo.StandIn]:
    with tempo.server(exports, tenant="fleet") as running:
        yield running


TENANT = ("--header", "X-Scope-OrgID: fleet")


@pytest.fixture(scope="module")
def sources(exports: list[str], server: str, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("sources")
    log, parquet = folder / "log.txt", folder / "spans.parquet"
    log.write_text("".join(f"START RequestId: 1\n2026-11-24T13:06:12.011Z {line}\n" for line in exports))
    assert cli.main(["report", str(log), "--save", str(parquet)]) == 0
    return Sources(log, parquet, f"clickhouse://{server}/default")


def report(coldspan: Coldspan, *arguments: object) -> dict[str, Any]:
    done = coldspan("report", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(found)
    return dict(found)


def same(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """To compare with: sums are added in another order each time, so their last digits differ."""
    return [
        {name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for name, value in row.items()}
        for row in rows
    ]


def test_the_slow_import_is_first_and_its_version_named_from_each_source(coldspan: Coldspan, sources: Sources) -> None:
    for source in (sources.log, sources.parquet, sources.server):
        found = report(coldspan, source)
        first = found["answers"]["imports"][0]
        assert (first["module"], first["starts"]) == ("tariffs", 1)
        assert first["via"].endswith("/payments-3/app.py:2")
        assert first["total_ms"] >= 200
        (step,) = [step for step in found["introductions"] if step["module"] == "tariffs"]
        assert (step["service"], step["previous"], step["version"]) == ("payments", "2", "3")
        assert step["before_ms"] == 0


def test_duckdb_and_clickhouse_give_the_same_answers(coldspan: Coldspan, sources: Sources) -> None:
    of_log, of_parquet, of_server = (
        report(coldspan, source)["answers"] for source in (sources.log, sources.parquet, sources.server)
    )
    assert of_log.keys() == of_parquet.keys() == of_server.keys()
    for name, rows in of_log.items():
        assert rows == same(of_parquet[name]), name
        assert rows == same(of_server[name]), name
    (scope,) = of_log["scope"]
    assert scope["requests"] == len(FUNCTIONS) * len(VERSIONS) * INVOCATIONS
    assert {row["start"]: row["requests"] for row in of_log["starts"]} == {"warm": 27, "on-demand": 9}


def test_jaeger_gives_the_same_answers(coldspan: Coldspan, sources: Sources, jaeger: str) -> None:
    of_log, of_jaeger = report(coldspan, sources.log), report(coldspan, jaeger)
    assert of_jaeger["reading"]["sample"] == ""
    for name, rows in of_log["answers"].items():
        assert rows == same(of_jaeger["answers"][name]), name


def test_of_more_traces_than_asked_for_the_report_says_so(coldspan: Coldspan, jaeger: str) -> None:
    done = coldspan("report", jaeger, "--traces", "2", "--service", "mail", "--json")
    assert done.stderr == "coldspan: the newest 2 traces alone (--traces) of: mail\n"
    assert json.loads(done.stdout)["answers"]["scope"][0]["requests"] == 2
    done = coldspan("report", jaeger, "--since", "9d", "--until", "8d")
    assert (done.returncode, "no spans in jaeger+http://" in done.stderr) == (1, True)


def test_tempo_gives_the_same_answers_where_all_is_read(
    coldspan: Coldspan, sources: Sources, tempo_server: tempo.StandIn
) -> None:
    of_log, of_tempo = report(coldspan, sources.log), report(coldspan, tempo_server.source, *TENANT)
    assert (of_tempo["sample"], of_tempo["reading"]["sample"]) == (None, "")
    for name, rows in of_log["answers"].items():
        assert rows == same(of_tempo["answers"][name]), name


def test_of_a_sample_of_tempos_traces_counts_and_rates_are_of_all(
    coldspan: Coldspan, sources: Sources, tempo_server: tempo.StandIn
) -> None:
    compare = ("--compare", "2..3", "--service", "payments")
    for more in ((), compare):
        of_log = report(coldspan, sources.log, *more)
        of_tempo = report(coldspan, tempo_server.source, *TENANT, "--sample", 1, *more)
        for name in ("starts", "billing", "failures"):
            assert of_log["answers"][name] == same(of_tempo["answers"][name]), name
        exact = ("service", "version", "requests", "cold", "cold_rate")
        of_both = [
            [[row[name] for name in exact] for row in found["answers"]["versions"]] for found in (of_log, of_tempo)
        ]
        assert sorted(of_both[0]) == sorted(of_both[1])
        assert not {"starts", "versions", "latency"} & {*of_tempo["sample"]["questions"]}
    for side in ("a", "b"):
        assert of_tempo["comparison"][side] == of_log["comparison"][side]
    assert of_tempo["comparison"]["imports"][0]["name"] == "tariffs"
    warm = of_tempo["comparison"]["latencies"][1]
    assert (warm["a_n"], warm["a_total"], warm["b_n"], warm["b_total"]) == (1, 3, 1, 3)


def test_that_answers_rest_on_a_sample_is_said_everywhere(
    coldspan: Coldspan, tempo_server: tempo.StandIn, tmp_path: Path
) -> None:
    arguments = (tempo_server.source, *TENANT, "--sample", "2")
    says = "2 of 9 cold requests and 2 of 27 warm ones"
    shown = coldspan("report", *arguments, "--html", tmp_path / "page.html")
    assert shown.stdout.startswith("36 requests, 9 cold starts (25.0 %)\n")
    assert says in " ".join(shown.stdout.split())
    assert "Imports: their own time in cold starts (of the sample), ms" in shown.stdout
    assert says in (tmp_path / "page.html").read_text()
    found = report(coldspan, *arguments)
    assert says in found["reading"]["sample"]
    kept = coldspan("report", *arguments, "--save", tmp_path / "spans.parquet")
    assert (kept.returncode, "argument --save: a sample is not kept" in kept.stderr) == (2, True)
    sample = found["sample"]
    assert (sample["cold"], sample["cold_of"], sample["warm"], sample["warm_of"]) == (2, 9, 2, 27)
    assert {"imports", "import_versions", "phases", "distribution"} <= {*sample["questions"]}


def test_what_tempo_does_not_answer_is_said_with_what_to_do(coldspan: Coldspan, tempo_server: tempo.StandIn) -> None:
    done = coldspan("report", tempo_server.source)
    assert (done.returncode, done.stdout) == (1, "")
    assert "/api/search answered 401: no org id; name the tenant: --header 'X-Scope-OrgID: NAME'" in done.stderr
    done = coldspan("report", tempo_server.source, *TENANT, "--since", "3d", "--sample", "1")
    assert done.returncode == 1
    assert "exceeds the maximum allowed duration of 24h0m0s; ask for less time (--since, --until)" in done.stderr
    done = coldspan("report", tempo_server.source, *TENANT, "--since", "8d")
    assert (done.returncode, "exceeds 168h0m0s" in done.stderr) == (1, True)
    done = coldspan("report", tempo_server.source, *TENANT, "--since", "3h", "--until", "2h")
    assert (done.returncode, f"no spans in {tempo_server.source}" in done.stderr) == (1, True)


def test_grafanas_grammar_reads_all_that_tempo_was_asked(coldspan: Coldspan, tempo_server: tempo.StandIn) -> None:
    report(coldspan, tempo_server.source, *TENANT, "--sample", 1, "--service", "mail", "--version", "2")
    for text, query in zip(tempo_server.queries, traceql.parse(tempo_server.queries), strict=True):
        assert query.errors == [], text


def test_filters_and_comparisons_reach_both_engines(coldspan: Coldspan, sources: Sources) -> None:
    for source in (sources.log, sources.server):
        found = report(coldspan, source, "--service", "payments", "--compare", "2..3", "--since", "1h")
        (scope,) = found["answers"]["scope"]
        assert (scope["services"], scope["requests"]) == (1, 12)
        change = found["comparison"]["imports"][0]
        assert (change["name"], change["a_ms"]) == ("tariffs", None)
        cold, _ = found["comparison"]["latencies"]
        assert cold["exceeds_noise"] is None
        assert "too few to tell it from noise (n = 1 and 1)" in cold["says"]


def test_the_page_names_the_import_and_its_version(coldspan: Coldspan, sources: Sources, tmp_path: Path) -> None:
    done = coldspan("report", sources.log, "--html", tmp_path / "page.html", "--compare", "2..3")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.html").read_text()
    assert re.search(
        r"tariffs costs [2-9]\d\d ms itself in each of 1 cold starts, via app.py:2, since version 3\.", page
    )
    assert "import tariffs" in page
    done = coldspan("report", sources.log, "--html", tmp_path)
    assert (done.returncode, "argument --html: " in done.stderr) == (2, True)


def test_a_server_is_asked_for_a_day_where_no_time_is_given(coldspan: Coldspan, sources: Sources) -> None:
    filters = report(coldspan, sources.server)["filters"]
    assert filters["until_ns"] - filters["since_ns"] == 24 * 3600 * 10**9
    done = coldspan("report", sources.server, "--since", "9d", "--until", "8d")
    assert done.returncode == 1
    assert "no spans in clickhouse://" in done.stderr


def test_a_table_that_is_not_there_is_named_with_how_to_name_another(coldspan: Coldspan, server: str) -> None:
    done = coldspan("report", f"clickhouse://someone:secret@{server}/default?table=traces")
    assert done.returncode == 1
    assert "has no table traces in the database default; another one is named so" in done.stderr
    assert "secret" not in done.stderr


def test_the_terminal_shows_it_within_80_columns_and_without_colour(coldspan: Coldspan, sources: Sources) -> None:
    plain = coldspan("report", sources.log)
    lines = plain.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "36 requests, 9 cold starts (25.0 %)"
    (row,) = [line for line in lines if line.startswith("tariffs ")]
    assert row.split()[-2:] == ["app.py:2", "3"]
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert coloured.search(coldspan("report", sources.log, FORCE_COLOR="1").stdout)
    assert not coloured.search(coldspan("report", sources.log, FORCE_COLOR="1", NO_COLOR="1").stdout)
