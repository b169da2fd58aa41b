"""What `coldspan report` reads, and what it says of the rest. Exit status 1: nothing to report; 2: bad usage."""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Coldspan = Callable[..., "subprocess.CompletedProcess[str]"]

T0_NS = 1_795_525_572_000_000_000


def line(number: int = 1, *, cold: bool = True, name: str = "orders") -> str:
    """An export of one request's SERVER span."""
    span = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": name,
        "kind": 2,
        "startTimeUnixNano": str(T0_NS + number),
        "endTimeUnixNano": str(T0_NS + number + 1_000_000),
        "attributes": [{"key": "faas.coldstart", "value": {"boolValue": cold}}],
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "orders"}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]})


def requests(done: "subprocess.CompletedProcess[str]") -> int:
    assert done.returncode == 0, done.stderr
    return int(json.loads(done.stdout)["answers"]["scope"][0]["requests"])


def test_files_patterns_gzip_and_each_file_once(coldspan: Coldspan, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(1) + "\n" + line(2) + "\n")
    (tmp_path / "b.log").write_bytes(gzip.compress(f"START\n2026-11-24T13:06:12Z {line(3)}\n".encode()))
    (tmp_path / "it's [c].jsonl").write_text(line(4))
    assert requests(coldspan("report", "--json", tmp_path / "*")) == 4
    assert requests(coldspan("report", "--json", tmp_path / "a.jsonl", tmp_path / "*.jsonl")) == 3


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input(coldspan_path: Path, environ: dict[str, str], compress: Callable[[bytes], bytes]) -> None:
    given = compress(f"{line(1)}\n{line(2)}\n".encode())
    command = [str(coldspan_path), "report", "--json", "-"]
    done = subprocess.run(command, input=given, env=environ, capture_output=True, timeout=120)
    assert json.loads(done.stdout)["answers"]["scope"][0]["requests"] == 2
    assert json.loads(done.stdout)["sources"] == ["standard input"]


def test_a_span_that_comes_twice_counts_once(coldspan: Coldspan, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(1) + "\n" + line(2) + "\n" + line(1))
    (tmp_path / "b.jsonl").write_text(line(2) + "\n" + line(3))
    done = coldspan("report", "--json", tmp_path / "*.jsonl")
    assert requests(done) == 3
    assert done.stderr == "coldspan: 2 spans came more than once: counted once\n"


def test_broken_lines_are_counted_and_the_first_is_named(coldspan: Coldspan, tmp_path: Path) -> None:
    log = tmp_path / "log"
    without_id = line(3).replace(f'"spanId": "{3:016x}", ', "")
    lines = [line(1), "REPORT", line(2)[:-20], f"2026-11-24T13:06:12Z {line(2)[:-1]}", without_id, line(4)]
    log.write_text("\n".join(lines))
    done = coldspan("report", "--json", log)
    assert requests(done) == 2
    assert json.loads(done.stdout)["reading"]["broken"] == 3
    assert json.loads(done.stdout)["reading"]["other"] == 1
    assert f"3 broken lines skipped; the first: {log}, line 3: no OTLP/JSON export request: " in done.stderr


def test_lines_of_the_wrong_shape_do_not_harm_their_neighbours(coldspan: Coldspan, tmp_path: Path) -> None:
    log = tmp_path / "log"
    wrong = ['{"resourceSpans":"no"}', '{"resourceSpans":[{"scopeSpans":[{"spans":[7]}]}]}', "17", "[]", '{"a":1} {']
    log.write_text("\n".join(text for n in range(3000) for text in (line(n + 1), wrong[n % len(wrong)])))
    assert requests(coldspan("report", "--json", log)) == 3000


def test_what_otlp_permits_is_read(coldspan: Coldspan, tmp_path: Path) -> None:
    """Numbers for 64-bit integers, names for enumerations, fields that are not known yet, empty parts."""
    log = tmp_path / "log"
    other = line(2).replace('"kind": 2', '"kind": "SPAN_KIND_SERVER", "flags": 257, "later": {"a": []}')
    number = line(3).replace(f'"{T0_NS + 3}"', str(T0_NS + 3))
    empty = ['{"resourceSpans":[]}', '{"resourceSpans":[{}]}', '{"resourceSpans":[{"scopeSpans":[{}]}]}']
    log.write_text("\n".join([other, number, *empty]))
    done = coldspan("report", "--json", log)
    assert requests(done) == 2
    assert json.loads(done.stdout)["reading"]["broken"] == 0


FOREIGN = [
    ('{"resourceLogs":[]}', "2 lines of OTLP logs"),
    ('{"resourceMetrics":[]}', "2 lines of OTLP metrics"),
    ('[{"traceId":"1","localEndpoint":{}}]', "2 lines of Zipkin spans"),
    ('{"trace_id":"1-6b058bc4-125984e799b67fb9edf720e6"}', "2 lines of X-Ray segments"),
    ("START RequestId: 1", "2 other lines"),
]


@pytest.mark.parametrize(("text", "expected"), FOREIGN)
def test_another_format_is_named(coldspan: Coldspan, tmp_path: Path, text: str, expected: str) -> None:
    log = tmp_path / "log"
    log.write_text(f"{text}\n{text}\n")
    done = coldspan("report", log)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"coldspan: no spans in {log}; there are {expected}"


def test_spans_that_are_not_coldspans_are_said_to_be_others(coldspan: Coldspan, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(line().replace("faas.coldstart", "http.route"))
    done = coldspan("report", tmp_path / "log")
    assert done.returncode == 1
    assert "1 spans in" in done.stderr
    assert "none is coldspan's: no faas.coldstart, no coldspan.phase" in done.stderr


def test_a_filter_that_leaves_nothing_says_what_is_there(coldspan: Coldspan, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(line())
    done = coldspan("report", tmp_path / "log", "--service", "order's", "--until", "2020-01-01")
    assert done.returncode == 1
    assert "is within: service order's, until 2020-01-01T00:00:00Z. They are from 2026-11-24T13:06:12Z" in done.stderr
    assert ", of: orders" in done.stderr


def test_a_side_that_has_nothing_is_named(coldspan: Coldspan, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(line())
    done = coldspan("report", tmp_path / "log", "--compare", "1..2")
    assert (done.returncode, "no requests to compare in 1" in done.stderr) == (1, True)


USAGE = [
    (["nowhere.jsonl"], "nowhere.jsonl: no such file"),
    (["no*where"], "no file matches no*where"),
    (["/tmp"], "/tmp is a folder; name the files in it: '/tmp/*'"),
    (["x", "--since", "soon"], "argument --since: 'soon': expected a time such as"),
    (["x", "--since", "1h", "--until", "2h"], "argument --since: the window ends before it begins"),
    (["x", "--timeout", "0"], "argument --timeout: 0: expected a number above 0"),
    (["x", "--traces", "many"], "argument --traces: many: expected a number above 0"),
    (["x", "--compare", "1"], "argument --compare: '1': expected A..B"),
    (["zipkin://host"], "zipkin://: expected a file or one of clickhouse://"),
    (["clickhouse://host", "x"], "a server is asked alone"),
    (["clickhouse://host", "--save", "x.parquet"], "argument --save: of ClickHouse nothing is fetched but results"),
    (["clickhouse://host", "--header", "x"], "argument --header: 'x': expected NAME: VALUE"),
    (["jaeger+http://someone:secret@host"], "expected jaeger+http://host:16686; credentials go into --header"),
    (["tempo+https://someone:secret@host"], "expected tempo+https://host:3200; credentials go into --header"),
    (["tempo+http://host", "--sample", "0"], "argument --sample: 0: expected a number above 0"),
    (["clickhouse://host/?tables=x"], "expected clickhouse://host:port/database?table=otel_traces"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE)
def test_bad_usage(coldspan: Coldspan, arguments: list[str], message: str) -> None:
    done = coldspan("report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[-1]


def test_files_that_are_none_of_ours(coldspan: Coldspan, tmp_path: Path) -> None:
    import duckdb

    other = tmp_path / "other.parquet"
    duckdb.connect().execute(f"COPY (SELECT 1 AS a) TO '{other}' (FORMAT parquet)")
    done = coldspan("report", other)
    assert (done.returncode, "no Parquet file of `coldspan report --save`" in done.stderr) == (2, True)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(f"{line()}\n".encode() * 100)[:-20])
    done = coldspan("report", tmp_path / "cut.gz")
    assert (done.returncode, "coldspan: Reading failed: " in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
    (tmp_path / "a.zst").write_bytes(b"\x28\xb5\x2f\xfd1234")
    done = coldspan("report", tmp_path / "a.zst")
    assert (done.returncode, "is compressed with zstd; gzip is read" in done.stderr) == (2, True)


def test_a_server_that_is_not_there(coldspan: Coldspan) -> None:
    done = coldspan("report", "clickhouse://someone:secret@127.0.0.1:1/")
    assert done.returncode == 1
    assert "http://127.0.0.1:1/ cannot be reached: [Errno 111] Connection refused" in done.stderr
    assert "secret" not in done.stderr
