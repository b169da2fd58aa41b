"""Grafana's dashboards: what is committed is what the code builds, and each query asks for what coldspan sends.

No Grafana and no Tempo runs here (docs/backends.md). Grafana's own grammar reads each query, and what Tempo is known to
do without saying so, an aggregate over nothing or a comparison that never holds, is looked for in the syntax tree.
"""

import json
import re
import runpy
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from coldspan_extension import attributes, semconv
from coldspan_lab.service import RuntimeClient
from coldspan_testing import traceql
from coldspan_testing.cache import CHECKOUT
from coldspan_testing.otlp_receiver import SpanReceived
from coldspan_testing.runs import Run, StartRun, start_run
from coldspan_testing.traceql import Comparison, Query

__all__ = ["start_run"]

GRAFANA = CHECKOUT / "backends" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "cold-starts.json"
VARIABLES = {"${service:regex}": r"orders|fn\.2", "${version:regex}": r"\$LATEST|7"}
"""As Grafana writes them into a query."""
RARE = {
    ("span", attributes.INIT_PROACTIVE),
    ("span", attributes.DROPPED_RECORDS),
    ("span", attributes.DROPPED_SPANS),
}
"""Not in the runs below."""
CONSTANTS = {
    r"true|false": attributes.BOOL,
    r"\d+": attributes.INT,
    r"\d+\.\d+": attributes.DOUBLE,
    r"`.*`": attributes.TEXT,
}
"""How a constant of a type is written. Tempo looks for numbers of the constant's type alone."""
STANDARD_TYPES = {
    semconv.FAAS_COLDSTART: attributes.BOOL,
    semconv.ERROR_TYPE: attributes.TEXT,
    semconv.SERVICE_NAME: attributes.TEXT,
    semconv.FAAS_VERSION: attributes.TEXT,
}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def targets() -> Iterator[tuple[str, str]]:
    """Each panel's title, with each of its queries as it is sent."""
    for panel in panels():
        for target in panel.get("targets", []):
            query = target["query"]
            for variable, value in VARIABLES.items():
                query = query.replace(variable, value)
            yield panel["title"], query


@pytest.fixture(scope="module")
def queries() -> list[Query]:
    return traceql.parse([query for _, query in targets()])


def test_what_is_committed_is_what_the_code_builds() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk needs Python 3.11")
    built = runpy.run_path(str(GRAFANA / "build_dashboards.py"))["as_json"]()
    assert DASHBOARD.read_text() == built, "`make dashboards` writes it anew"


def test_panels_are_numbered_fit_the_grid_and_ask_the_provisioned_tempo() -> None:
    (source,) = YAML(typ="safe").load(GRAFANA / "provisioning" / "datasources" / "tempo.yaml")["datasources"]
    assert [panel["id"] for panel in panels()] == list(range(1, len(panels()) + 1))
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}


def test_every_panel_asks_something_of_the_chosen_functions_and_versions() -> None:
    variables = [each["name"] for each in json.loads(DASHBOARD.read_text())["templating"]["list"]]
    assert variables == ["service", "version"]
    asked = [target["query"] for panel in panels() for target in panel.get("targets", [])]
    assert len({panel["title"] for panel in panels() if panel["type"] != "row"}) <= len(asked)
    for query in asked:
        assert set(re.findall(r"\$\{\w+:\w+\}", query)) == set(VARIABLES)


def test_grafanas_grammar_reads_every_query(queries: list[Query]) -> None:
    assert {title: query.errors for (title, _), query in zip(targets(), queries, strict=True) if query.errors} == {}


@pytest.mark.parametrize("query", ["{ span. = 1 }", "{ span.a = 1 } | quantile_over_time(span:duration, .5)"])
def test_the_grammar_does_find_what_is_none(query: str) -> None:
    (parsed,) = traceql.parse([query])
    assert parsed.errors


def real_spans(start_run: StartRun) -> list[SpanReceived]:
    """Of cold and warm starts, streams, slow imports, and failures of three kinds."""
    to_the_letter = {"COLDSPAN_FLUSH": "end", "COLDSPAN_IMPORTS": "all"}
    until_told = {"busy_ms": 400}  # by telemetry, of init
    streams = {"handler": "app.stamped", "runtime": RuntimeClient.COLDSPAN}
    runs: list[tuple[Run, list[object]]] = [
        (start_run("echo", timeout_s=3.0, **to_the_letter), [until_told, 1, "raise", "hang"]),
        (start_run("streams", settings=streams, **to_the_letter), [1]),
        (start_run("imports", **to_the_letter), [1]),
        (start_run("import_error"), [1]),
    ]
    for run, events in runs:
        for event in events:
            run.lab.invoke(event)
            run.lab.wait_frozen()
        run.close()
    return [span for run, _ in runs for span in run.receiver.spans]


def holds(comparison: Comparison, span: SpanReceived) -> bool:
    """Of what the dashboards use of TraceQL."""
    scope, _, name = comparison.field.partition(".")
    value = {
        "span": span.attributes.get(name),
        "resource": span.resource.get(name),
        "span:status": "error" if span.span.status.code == 2 else "unset",
        "span:kind": {1: "internal", 2: "server"}[span.span.kind],
    }[scope]
    if comparison.constant == "nil" or value is None:
        return comparison.operator == "!=" and value is not None
    if comparison.operator == "=~":
        return re.fullmatch(comparison.constant.strip("`"), str(value)) is not None
    if comparison.operator == ">":
        return isinstance(value, (int, float)) and value > float(comparison.constant)
    assert comparison.operator == "="
    return (str(value).lower() if isinstance(value, bool) else str(value)) == comparison.constant.strip("`")


def test_every_panel_finds_spans_among_those_that_coldspan_sends(queries: list[Query], start_run: StartRun) -> None:
    """Each attribute is there, in its scope, and each `{ ... }` holds of a span; but for what is rare."""
    spans = real_spans(start_run)
    sent = {("span", name) for span in spans for name in span.attributes}
    sent |= {("resource", name) for span in spans for name in span.resource}
    named = set().union(*(query.attributes for query in queries))
    assert named - sent == RARE
    assert {name for _, name in RARE} <= set(attributes.REGISTRY)
    dropped = [f"span.{name}" for name in (attributes.DROPPED_RECORDS, attributes.DROPPED_SPANS)]
    for asked in (each for query in queries for each in query.filters):
        of_any = [comparison for comparison in asked if not comparison.field.startswith("resource.")]
        if of_any[0].field not in dropped:
            assert any(all(holds(comparison, span) for comparison in of_any) for span in spans), asked


def type_of(attribute: str) -> str:
    """`span.a.b` or `resource.a.b`, by its type."""
    name = attribute.partition(".")[2]
    return attributes.REGISTRY[name][0] if name in attributes.REGISTRY else STANDARD_TYPES[name]


def test_an_attribute_is_compared_with_constants_of_its_type(queries: list[Query]) -> None:
    asked = [comparison for query in queries for each in query.filters for comparison in each]
    for comparison in asked:
        if ":" not in comparison.field and comparison.constant != "nil":
            (of_type,) = [of_type for shape, of_type in CONSTANTS.items() if re.fullmatch(shape, comparison.constant)]
            assert of_type == type_of(comparison.field), comparison


def test_an_aggregate_is_over_spans_that_have_a_number_there_and_a_quantile_over_durations(
    queries: list[Query],
) -> None:
    aggregates = [(query, function, of) for query in queries for function, of in query.aggregates if of]
    assert aggregates
    for query, function, of in aggregates:
        if function == "quantile_over_time":
            assert of == "span:duration"
        if of != "span:duration":
            assert type_of(of) in (attributes.DOUBLE, attributes.INT)
            assert Comparison(of, "!=", "nil") in query.filters[-1]
