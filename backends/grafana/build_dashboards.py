"""Grafana's dashboard of cold starts, as code: `make dashboards` writes it to dashboards/, and Grafana reads it there.

Each panel asks Tempo one or several queries in TraceQL. What Tempo can do shapes them: quantiles are of `span:duration`
or of whole numbers alone, so of an attribute in seconds there is the mean or the sum; and there is no arithmetic, so a
share is a stack of percents.
"""

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TypeAlias

from grafana_foundation_sdk.builders import bargauge, common, dashboard, stat, table, tempo, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.tempo import MetricsQueryType, SearchTableType

TARGET = Path(__file__).parent / "dashboards" / "cold-starts.json"
TEMPO = DataSourceRef(type_val="tempo", uid="tempo")
"""As provisioning/datasources has it."""

SECONDS, PER_SECOND, COUNT = "s", "cps", "short"
Panel: TypeAlias = "timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel"

EXEMPLARS = 100
"""Traces behind a chart's points."""
TRACES = 20
"""Of a table."""

# `:regex` escapes what is special in a value such as $LATEST; between backticks TraceQL leaves a backslash alone.
CHOSEN = "resource.service.name =~ `${service:regex}` && resource.faas.version =~ `${version:regex}`"
INVOCATION = "span.coldspan.invocation.sequence > 0"
COLD = f"{INVOCATION} && span.faas.coldstart = true"
WARM = f"{INVOCATION} && span.faas.coldstart = false"
FIRST = "span.coldspan.invocation.sequence = 1"
FAILED = f"{INVOCATION} && span:status = error"
TIMED_OUT = f"{INVOCATION} && span.error.type =~ `timeout|Sandbox.Timedout`"
INIT = "span.coldspan.phase =~ `init|restore`"
BY_VERSION = "by (resource.faas.name, resource.faas.version)"


def spans(condition: str) -> str:
    """Those of the chosen functions to which it applies."""
    return f"{{ {CHOSEN} && {condition} }}"


def below(parent: str, child: str) -> str:
    """Spans directly below one of a kind."""
    return f"{spans(parent)} > {{ {child} }}"


def over(aggregate: str, attribute: str, condition: str = "", by: str = "") -> str:
    """A number over time of the spans that have the attribute."""
    has_it = f"{condition} && {attribute} != nil" if condition else f"{attribute} != nil"
    return f"{spans(has_it)} | {aggregate}({attribute}) {by}".rstrip()


def build() -> dashboard.Dashboard:
    built = (
        dashboard.Dashboard("Cold starts")
        .uid("coldspan-cold-starts")
        .description("What coldspan's traces say of cold starts: how many, how long, why, and what they cost.")
        .tags(["coldspan", "aws-lambda"])
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(variable("service", "Service", "service.name"))
        .with_variable(variable("version", "Version", "faas.version"))
    )
    number_of = count(1)
    for title, panels in rows().items():
        built.with_row(dashboard.Row(title).id(next(number_of)))
        for panel in panels:
            built.with_panel(panel.id(next(number_of)))
    return built


def variable(name: str, label: str, attribute: str) -> dashboard.QueryVariable:
    """Any of the values that Tempo has of a resource's attribute; all of them at first."""
    label_values = 1
    query: dict[str, object] = {
        "refId": "TempoDatasourceVariableQueryEditor-VariableQuery",
        "type": label_values,
        "label": attribute,
    }
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(TEMPO)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(text="All", value="$__all"))
    )


def target(query: str) -> tempo.TempoQuery:
    return tempo.TempoQuery().datasource(TEMPO).query_type("traceql").query(query)


def targets(queries: Sequence[str], kind: MetricsQueryType) -> list[tempo.TempoQuery]:
    asked = [target(query).ref_id(chr(ord("A") + number)) for number, query in enumerate(queries)]
    exemplars = EXEMPLARS if kind is MetricsQueryType.RANGE else 0
    return [each.metrics_query_type(kind).exemplars(exemplars) for each in asked]


def chart(title: str, says: str, unit: str, *queries: str, width: int = 12) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True)
    return (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(TEMPO)
        .targets([*targets(queries, MetricsQueryType.RANGE)])
        .unit(unit)
        .min(0)
        .legend(legend.display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM))
        .span(width)
        .height(8)
    )


def stack(title: str, says: str, unit: str, *queries: str, percent: bool = False, width: int = 12) -> timeseries.Panel:
    mode = StackingMode.PERCENT if percent else StackingMode.NORMAL
    panel = chart(title, says, unit, *queries, width=width)
    return panel.stacking(common.StackingConfig().mode(mode)).draw_style(GraphDrawStyle.BARS).fill_opacity(80)


def number(title: str, says: str, unit: str, query: str) -> stat.Panel:
    """Of the whole time."""
    return (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(TEMPO)
        .targets([*targets([query], MetricsQueryType.INSTANT)])
        .reduce_options(common.ReduceDataOptions().calcs(["sum"]))
        .unit(unit)
        .no_value("0")
        .span(4)
        .height(4)
    )


def ranking(title: str, says: str, unit: str, query: str) -> bargauge.Panel:
    """Of the whole time, the longest bar first: one row for each series, in this order."""
    rows_of_series = DataTransformerConfig(id_val="reduce", options={"reducers": ["lastNotNull"]})
    in_order = DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": "Last *", "desc": True}]})
    return (
        bargauge.Panel()
        .title(title)
        .description(says)
        .datasource(TEMPO)
        .targets([*targets([query], MetricsQueryType.INSTANT)])
        .transformations([rows_of_series, in_order])
        .reduce_options(common.ReduceDataOptions().values(True))
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .unit(unit)
        .min(0)
        .span(12)
        .height(10)
    )


def traces(title: str, says: str, condition: str, shown: str = "") -> table.Panel:
    """The latest, each with a link to its trace; with `shown`, the spans themselves with these attributes."""
    query = f"{spans(condition)} | select({shown})" if shown else spans(condition)
    kind = SearchTableType.SPANS if shown else SearchTableType.TRACES
    asked = target(f"{query} with (most_recent=true)").ref_id("A").limit(TRACES).table_type(kind)
    panel = table.Panel().title(title).description(says).datasource(TEMPO)
    return panel.with_target(asked).span(12).height(10)


def rows() -> dict[str, list[Panel]]:
    """The panels below each heading."""
    return {
        "How many": how_many(),
        "How long": how_long(),
        "Where the time goes": where(),
        "What fails": what_fails(),
        "What coldspan costs": what_it_costs(),
        "Traces": [
            traces("Cold starts", "The latest.", COLD),
            traces("Failures", "The latest.", FAILED),
        ],
    }


def how_many() -> list[Panel]:
    return [
        number("Invocations", "All that were traced.", COUNT, f"{spans(INVOCATION)} | count_over_time()"),
        number("Cold starts", "An init or restore delayed them.", COUNT, f"{spans(COLD)} | count_over_time()"),
        number("Failures", "Timeouts among them.", COUNT, f"{spans(FAILED)} | count_over_time()"),
        number("Timeouts", "Invocations that ran out of time.", COUNT, f"{spans(TIMED_OUT)} | count_over_time()"),
        number(
            "Billed init",
            "Init on demand as Lambda measured it, where it told in time.",
            SECONDS,
            over("sum_over_time", "span.coldspan.init.duration", "span.coldspan.init.type = `on-demand`"),
        ),
        number(
            "Billed in all",
            "Of the invocations whose report came.",
            SECONDS,
            over("sum_over_time", "span.coldspan.billed_duration"),
        ),
        chart(
            "Cold starts a second",
            "By function and version.",
            PER_SECOND,
            f"{spans(COLD)} | rate() {BY_VERSION}",
            width=8,
        ),
        stack(
            "Share of cold starts",
            "Of the invocations, how many waited for an init or restore (true).",
            COUNT,
            f"{spans(INVOCATION)} | count_over_time() by (span.faas.coldstart)",
            percent=True,
            width=8,
        ),
        stack(
            "Start types",
            "Of each environment's first invocation: how it was initialised, whether inside the invocation, whether "
            "ahead of any request, and whether the request waited.",
            COUNT,
            f"{spans(FIRST)} | count_over_time() by (span.coldspan.init.type, span.coldspan.init.phase, "
            "span.coldspan.init.proactive, span.faas.coldstart)",
            width=8,
        ),
    ]


def how_long() -> list[Panel]:
    quantiles = f"quantile_over_time(span:duration, 0.5, 0.95, 0.99) {BY_VERSION}"
    return [
        chart(
            "Cold invocations: p50, p95, p99",
            "From the begin of init, or of the restore, until the response was accepted.",
            SECONDS,
            f"{spans(COLD)} | {quantiles}",
        ),
        chart(
            "Warm invocations: p50, p95, p99",
            "From the event's delivery until the response was accepted.",
            SECONDS,
            f"{spans(WARM)} | {quantiles}",
        ),
        chart(
            "Init and restore: p50, p95, p99",
            "Also of those that no request waited for.",
            SECONDS,
            f"{spans(INIT)} | {quantiles}",
        ),
        chart(
            "First byte of a streamed response",
            "The mean, of cold (true) and of warm invocations.",
            SECONDS,
            over("avg_over_time", "span.coldspan.response.ttfb", by="by (span.faas.coldstart)"),
        ),
    ]


def where() -> list[Panel]:
    return [
        stack(
            "Phases of a cold start",
            "Their means.",
            SECONDS,
            f"{below(COLD, 'span.coldspan.phase != nil')} | avg_over_time(span:duration) by (span.coldspan.phase)",
        ),
        stack(
            "Parts of init and restore",
            "Their means.",
            SECONDS,
            f"{below(INIT, 'span:kind = internal')} | avg_over_time(span:duration) by (span:name)",
        ),
        ranking(
            "Imports by self time",
            "The sum over all of this time, without what they imported in turn.",
            SECONDS,
            over(
                "sum_over_time",
                "span.coldspan.self_time",
                "span.coldspan.import.module != nil",
                "by (span.coldspan.import.module) | topk(15)",
            ),
        ),
        traces(
            "Imports over 50 ms",
            "The latest; the link leads to the trace.",
            "span.coldspan.import.module != nil && span.coldspan.self_time > 0.05",
            "span.coldspan.import.module, span.coldspan.self_time, span.coldspan.import.source",
        ),
    ]


def what_fails() -> list[Panel]:
    by_type = "count_over_time() by (resource.faas.name, resource.faas.version, span.error.type)"
    return [
        stack(
            "Failures",
            "By what they are: an exception's class, timeout, Runtime.ExitError, ...",
            COUNT,
            f"{spans(FAILED)} | {by_type}",
        ),
        stack(
            "Failed inits and restores",
            "Also of those that no request waited for.",
            COUNT,
            f"{spans(f'{INIT} && span:status = error')} | {by_type}",
        ),
    ]


def what_it_costs() -> list[Panel]:
    return [
        chart(
            "On a cold start",
            "Means: until the extension had registered, which the runtime waits for; and in the function's process.",
            SECONDS,
            over("avg_over_time", "span.coldspan.overhead.extension"),
            over("avg_over_time", "span.coldspan.overhead.wrapper"),
            width=8,
        ),
        chart(
            "Exports",
            "The mean and the longest.",
            SECONDS,
            over("avg_over_time", "span.coldspan.overhead.export"),
            over("max_over_time", "span.coldspan.overhead.export"),
            width=8,
        ),
        stack(
            "Dropped",
            "Records and spans that were lost: what is shown here is then not all.",
            COUNT,
            over("sum_over_time", "span.coldspan.dropped.records"),
            over("sum_over_time", "span.coldspan.dropped.spans"),
            width=8,
        ),
    ]


def as_json() -> str:
    """What Grafana reads."""
    return json.dumps(build().build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(as_json())
