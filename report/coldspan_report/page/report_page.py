"""The page of `coldspan report --html`: the answers (answers.py), each as a plot with its figures as a table below."""

from markupsafe import Markup

from coldspan_report import words
from coldspan_report.importtree import PathSum, added_up
from coldspan_report.page import plots, tables
from coldspan_report.page.answers import Answers, Bin, Change, Comparison, ImportPath, Latency, PhaseAt, Table
from coldspan_report.page.icicle import icicle
from coldspan_report.page.shell import document, fragment

ALL = "all cold starts"


def report_page(answers: Answers) -> str:
    """The whole file."""
    parts = [_head(answers)]
    if "distribution" in answers or "latency" in answers:
        parts.append(distribution(answers.get("distribution", []), answers.get("latency", [])))
    if "phases" in answers:
        parts.append(phases_over_time(answers["phases"]))
    if "imports" in answers:
        parts.append(import_icicle(answers["imports"], answers.get("cold_starts", 0)))
    if compared := answers.get("comparison"):
        parts.append(comparison(compared))
    parts += [table(each) for each in answers.get("tables", [])]
    return document(answers.get("title", "coldspan report"), parts, needs_plotly=_has_plots(answers))


def _has_plots(answers: Answers) -> bool:
    compared = answers.get("comparison")
    return bool(answers.get("distribution") or answers.get("phases") or (compared and compared["changes"]))


def _head(answers: Answers) -> Markup:
    return fragment(
        "report.html",
        title=answers.get("title", "coldspan report"),
        scope=answers.get("scope", ""),
        sentences=answers.get("sentences", []),
        warnings=answers.get("warnings", []),
    )


def distribution(bins: list[Bin], latency: list[Latency]) -> Markup:
    """Cold against warm: the shape of both, and their percentiles."""
    columns = ["start", "requests", "p50", "p95", "p99"]
    rows: list[list[tables.Cell]] = [
        [
            each["start"],
            each["requests"],
            tables.ms(each["p50_ms"]),
            tables.ms(each["p95_ms"]),
            tables.ms(each["p99_ms"]),
        ]
        for each in latency
    ]
    figure = plots.distribution(bins) if bins else None
    title = "Latency, cold and warm"
    return _section(title, "No requests.", figure, tables.table(title, columns, rows))


def phases_over_time(rows: list[PhaseAt]) -> Markup:
    """What cold starts were made of, part by part of the time."""
    columns = ["from (UTC)", "phase", "mean", "cold starts"]
    ordered = sorted(rows, key=lambda row: (row["first_ns"], row["phase"]))
    cells: list[list[tables.Cell]] = [
        [words.instant(row["first_ns"]), row["phase"], tables.ms(row["mean_ms"]), row["cold"]] for row in ordered
    ]
    figure = plots.phases(rows) if rows else None
    title = "Phases of cold starts, over time"
    return _section(title, "No cold starts.", figure, tables.table(title, columns, cells), folded=True)


def import_icicle(paths: list[ImportPath], cold_starts: int) -> Markup:
    """Every path of the import trees, with what it took in all cold starts."""
    sums = [
        PathSum(tuple(path["path"]), round(path["self_ms"] * words.MS), path["starts"], path["source"])
        for path in paths
    ]
    tree = icicle(added_up(sums, ALL), "Icicle of all imports", cold_starts) if sums else None
    return _section("What cold starts imported", "No imports were observed.", None, tree)


def comparison(compared: Comparison) -> Markup:
    """Two versions or windows, and whether what differs exceeds the noise."""
    before, after = compared["before"], compared["after"]
    columns = ["figure", "verdict", before, after, "difference", "interval", "n before", "n after"]
    rows = [_compared(row) for row in compared["changes"]]
    figure = plots.changes(compared["changes"], {"before": before, "after": after}) if rows else None
    title = f"{before} against {after}"
    return _section(title, "Nothing to compare.", figure, tables.table(title, columns, rows))


def _compared(row: Change) -> list[tables.Cell]:
    low, high = row["low_ms"], row["high_ms"]
    return [
        row["name"],
        row["verdict"],
        tables.ms(row["before_ms"]),
        tables.ms(row["after_ms"]),
        f"{row['after_ms'] - row['before_ms']:+,.1f} ms",
        "" if low is None or high is None else f"{low:+,.1f} to {high:+,.1f} ms",
        row["before_count"],
        row["after_count"],
    ]


def table(content: Table) -> Markup:
    title = content["title"]
    return _section(title, "None.", None, tables.table(title, content["columns"], content["rows"]))


def _section(
    title: str, empty: str, figure: plots.Figure | None, told: Markup | None, *, folded: bool = False
) -> Markup:
    return fragment("section.html", title=title, empty=empty, figure=figure, told=told, folded=folded)
