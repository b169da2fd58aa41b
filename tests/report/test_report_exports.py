"""The exported files against the formats' schemas (schemas/README.md), and what the viewers would show of them."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from coldspan_lab import arguments
from coldspan_report import exports
from coldspan_report.traces import Span, Trace, traces_of

MakeSpan = Callable[..., Span]
SCHEMAS = Path(__file__).parent / "schemas"
SCHEMA_OF = {"perfetto": "trace-events.json", "speedscope": "speedscope-1.25.0.json"}


@pytest.fixture
def trace(span: MakeSpan, server: MakeSpan) -> Trace:
    own = {"coldspan__import__source": "function"}
    (trace,) = traces_of(
        [
            server("fn", 0, 100, faas__coldstart=True),
            span("extension init", 1, 12, parent="fn"),
            span("load handler", 10, 80, parent="fn"),
            span("import app", 10, 80, parent="load handler", coldspan__import__module="app", **own),
            span(
                "import a", 10, 30, parent="import app", coldspan__import__module="a", tags=[b"\xff", {"x": math.nan}]
            ),
            span("other imports", 20, 34, parent="import app", coldspan__import__count=7),
            span("import b", 34, 64.5, parent="import app", coldspan__import__module="b"),
            span("import beside", 12, 20, parent="load handler", thread__id=12, coldspan__import__module="beside"),
        ]
    )
    return trace


def exported(trace: Trace, of_format: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(exports.FORMATS[of_format](trace))
    jsonschema.validate(content, json.loads((SCHEMAS / SCHEMA_OF[of_format]).read_text()))
    return content


def test_perfetto_has_each_span_at_its_time_and_those_of_a_track_nest(trace: Trace) -> None:
    events = [event for event in exported(trace, "perfetto")["traceEvents"] if event["ph"] == "X"]
    assert [(event["name"], event["ts"], event["dur"], event["tid"]) for event in events] == [
        ("fn", 0, 100_000, 1),
        ("extension init", 1_000, 11_000, 2),
        ("load handler", 10_000, 70_000, 1),
        ("import app", 10_000, 70_000, 1),
        ("import a", 10_000, 20_000, 1),
        ("import b", 34_000, 30_500, 1),
        ("import beside", 12_000, 8_000, 3),
    ]
    assert events[3]["cat"] == "import,function"
    assert events[3]["args"]["other imports"] == "7, 14.00 ms together"


def test_what_overlaps_its_sibling_has_a_track_of_its_own(span: MakeSpan, server: MakeSpan) -> None:
    (trace,) = traces_of(
        [
            server("fn", 0, 100),
            span("a", 0, 50, parent="fn"),
            span("b", 40, 60, parent="fn"),
            span("below b", 41, 59, parent="b"),
            span("c", 60, 90, parent="fn"),
            span("import x", 60, 61, parent="c"),
        ]
    )
    events = [event for event in exported(trace, "perfetto")["traceEvents"] if event["ph"] == "X"]
    assert {event["name"]: event["tid"] for event in events} == {
        "fn": 1,
        "a": 1,
        "b": 2,
        "below b": 2,
        "c": 1,
        "import x": 1,
    }


def test_speedscope_has_each_import_with_its_own_time_on_its_stack(trace: Trace) -> None:
    content = exported(trace, "speedscope")
    names = [frame["name"] for frame in content["shared"]["frames"]]
    load, beside = content["profiles"]
    stacks = ["/".join(names[frame] for frame in sample) for sample in load["samples"]]
    assert dict(zip(stacks, load["weights"], strict=True)) == {
        "load handler/app (function)": 5_500_000,
        "load handler/app (function)/a": 20_000_000,
        "load handler/app (function)/other imports": 14_000_000,
        "load handler/app (function)/b": 30_500_000,
    }
    assert load["endValue"] == 70_000_000
    assert [names[frame] for frame in beside["samples"][0]] == ["beside"]


def test_what_json_lacks_is_told_as_text(trace: Trace) -> None:
    (event,) = [each for each in exported(trace, "perfetto")["traceEvents"] if each["name"] == "import a"]
    assert event["args"]["tags"] == ["ff", {"x": "nan"}]


def test_the_first_cold_start_with_imports_is_the_one(trace: Trace, span: MakeSpan, server: MakeSpan) -> None:
    lazy = [
        server("fn", 0, 2, trace=2),
        span("handler", 0, 2, parent="fn", trace=2),
        span("import x", 0, 1, parent="handler", trace=2),
    ]
    warm = traces_of(lazy)
    assert exports.first_cold_start([*warm, trace]) is trace
    assert exports.first_cold_start(warm) is None


def test_the_command_knows_the_formats() -> None:
    assert set(arguments.EXPORT_FORMATS) == set(exports.FORMATS) == set(SCHEMA_OF)
