"""The answers as text for a terminal: sections of plain tables that are readable at 80 columns.

Whatever is shown in colour is also said in words, and rich leaves colours out where NO_COLOR says so.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coldspan_report.answers import Answers, Bill, Comparison, Row
from coldspan_report.filters import iso
from coldspan_report.words import printable

SHOWN = 12
"""Rows of a table that has any number; --json has more."""
ON_PAGE = ("starts", "versions", "imports", "bodies", "failures", "overhead")
"""Questions whose rows a page shows as they are."""
PHASES = (
    "init",
    "extension init",
    "runtime boot",
    "load handler",
    "restore",
    "next",
    "event decode",
    "handler",
    "response encode",
    "response",
    "after response",
)


def show(answers: Answers, stream: TextIO) -> None:
    """As wide as the terminal is; 80 columns where there is none."""
    console = Console(file=stream, markup=False, emoji=False, highlight=False)
    for part in _parts(answers):
        if isinstance(part, Table):  # as a title of the table's own it would be folded to its width
            console.print(Text(f"\n{part.title}", style="bold"))
            part.title = None
        console.print(part)


def _parts(answers: Answers) -> Iterator[Table | Text]:
    yield _head(answers)
    yield _starts(answers)
    yield _latency(answers)
    if len(answers.rows["versions"]) > 1:
        yield _versions(answers.rows["versions"])
    if answers.rows["imports"]:
        yield _imports(answers)
    if answers.rows["bodies"]:
        yield _bodies(answers)
    if answers.rows["failures"]:
        yield _failures(answers.rows["failures"])
    if answers.comparison:
        yield from _comparison(answers.comparison, answers.of("imports"))
    yield _last(answers)


def _head(answers: Answers) -> Text:
    scope = answers.scope
    text = Text(rate(answers), style="bold yellow")
    text.append(
        f"\n{_many(scope['services'], 'service')}, {_many(scope['instances'], 'environment')}, "
        f"{_count(scope['spans'])} spans{answers.of('phases')}; {iso(scope['first_ns'])} to {iso(scope['last_ns'])}",
        style="not bold default",
    )
    if str(answers.filters):
        text.append(f"\nonly {printable(str(answers.filters))}", style="not bold default")
    if answers.sample:
        text.append(f"\n{answers.reading.sample}")
    return text


def _starts(answers: Answers) -> Table:
    table = _table("How requests found their environment", "", "requests", "share", "waited")
    for row in answers.rows["starts"]:
        table.add_row(
            printable(row["start"]), _count(row["requests"]), percent(row["share"]), "yes" if row["cold"] else "no"
        )
    return table


def _latency(answers: Answers) -> Table:
    of_sample = "; phases are of the sample" if answers.sample else ""
    table = _table(f"Latency and phases, ms{of_sample}", "", "n", "p50", "p95", "p99")
    for row in answers.rows["latency"]:
        table.add_row(Text(f"{row['start']} request", style="bold"), _count(row["requests"]), *_percentiles(row))
        phases = [phase for phase in answers.rows["phases"] if phase["start"] == row["start"]]
        for phase in sorted(phases, key=_place_of_phase):
            indent = "    " if phase["phase"] in PHASES[1:4] else "  "
            table.add_row(indent + printable(phase["phase"]), _count(phase["spans"]), *_percentiles(phase))
    for phase in answers.rows["phases"]:
        if phase["start"] == "ahead" and phase["phase"] in ("init", "restore"):
            table.add_row(f"{phase['phase']}, nobody waited", _count(phase["spans"]), *_percentiles(phase))
    return table


def _place_of_phase(row: Row) -> int:
    return PHASES.index(row["phase"]) if row["phase"] in PHASES else len(PHASES)


def _versions(rows: Sequence[Row]) -> Table:
    table = _table(
        "Functions and versions", "service", "version", "requests", "cold", "rate", "cold p50", "p95", "warm"
    )
    for row in rows[:SHOWN]:
        table.add_row(
            printable(row["service"]),
            printable(row["version"]),
            _count(row["requests"]),
            _count(row["cold"]),
            percent(row["cold_rate"]),
            _ms(row["cold_p50_ms"]),
            _ms(row["cold_p95_ms"]),
            _ms(row["warm_p50_ms"]),
        )
    return _with_rest(table, len(rows))


def _imports(answers: Answers) -> Table:
    table = _table(
        f"Imports: their own time in cold starts{answers.of('imports')}, ms",
        "module",
        "each",
        "share",
        "in",
        "asked for by",
        "since",
    )
    rows = answers.rows["imports"]
    for row in rows[:SHOWN]:
        since = answers.introduction(row["module"])
        table.add_row(
            printable(row["module"]),
            _ms(row["mean_ms"]),
            percent(row["share"]),
            f"{_count(row['starts'])}/{_count(answers.cold_read)}",
            printable(place(row["via"])),
            printable(since.version) if since else "",
        )
    return _with_rest(table, len(rows))


def _bodies(answers: Answers) -> Table:
    rows = answers.rows["bodies"]
    title = f"Lines of modules that ran long, not imports (sampled), ms{answers.of('bodies')}"
    table = _table(title, "line", "starts", "most", "total")
    for row in rows[:SHOWN]:
        table.add_row(printable(place(row["line"])), _count(row["starts"]), _ms(row["max_ms"]), _ms(row["total_ms"]))
    return _with_rest(table, len(rows))


def _failures(rows: Sequence[Row]) -> Table:
    table = _table("Failures", "error", "of", "n", "cold", "last", "its trace")
    for row in rows[:SHOWN]:
        table.add_row(
            Text(printable(row["type"]), style="red"),
            row["failed"],
            _count(row["failures"]),
            _count(row["cold"]),
            iso(row["last_ns"]),
            row["example"],
        )
    return _with_rest(table, len(rows))


def _comparison(of: Comparison, basis: str) -> Iterator[Table | Text]:
    a, b = printable(of.a.label), printable(of.b.label)
    text = Text(f"\nFrom {a} to {b}\n", style="bold")
    for side in (of.a, of.b):
        text.append(
            f"  {printable(side.label)}: {_count(side.requests)} requests, {_count(side.cold)} cold "
            f"({percent(side.cold_rate)})\n",
            style="not bold",
        )
    for latency in of.latencies:
        text.append(f"  {latency.says}\n", style="bold yellow" if latency.exceeds_noise else "not bold")
    yield text
    for title, changes in (
        (f"Imports, mean of all cold starts{basis}, ms", of.imports),
        (f"Phases of cold, p50{basis}, ms", of.phases),
    ):
        if changes:
            table = _table(title, "", a, b, "change")
            for change in changes[:SHOWN]:
                table.add_row(
                    printable(change.name), _ms(change.a_ms), _ms(change.b_ms), f"{change.difference_ms:+.1f}"
                )
            yield table


def _last(answers: Answers) -> Text:
    """What it costs, what coldspan itself takes, what was lost."""
    lines = billed(answers.bill)
    overhead = [
        f"{row['part']} {_ms(row['p50_ms'])} ms" for row in answers.rows["overhead"] if row["p50_ms"] is not None
    ]
    if overhead:
        lines.append(f"coldspan's own cost at the median: {', '.join(overhead)}")
    return Text("\n" + "\n".join([*lines, *dropped(answers)]))


def rate(answers: Answers) -> str:
    requests = answers.scope["requests"]
    share = answers.cold / requests if requests else 0.0
    return f"{_many(requests, 'request')}, {_many(answers.cold, 'cold start')} ({percent(share)})"


def billed(bill: Bill) -> list[str]:
    """A line, where there is an init to bill."""
    if not bill.inits_per_million_requests:
        return []
    share = f", {percent(bill.inits_share)} of what is billed" if bill.inits_share is not None else ""
    price = f"{bill.price_per_gb_s:.10f}".rstrip("0")
    cost = f"{bill.inits_per_million_requests:,.4f} for a million requests at {price} per GB-second"
    return [f"Billed init: {cost} ({_many(bill.inits, 'init')}, {bill.inits_gb_s:,.1f} GB-s{share})"]


def dropped(answers: Answers) -> list[str]:
    """A line, where anything was."""
    (row,) = answers.rows["dropped"]
    if not row["records"] and not row["spans"]:
        return []
    lost = f"{_many(row['records'], 'record')}, {_many(row['spans'], 'span')}"
    return [f"Dropped, by coldspan's own account: {lost} in {_many(row['instances'], 'environment')}"]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=None, pad_edge=False, header_style="dim")
    words = {
        "",
        "service",
        "version",
        "module",
        "asked for by",
        "slow since",
        "line",
        "error",
        "of",
        "last",
        "its trace",
    }
    for column in columns:
        is_text = column in words
        table.add_column(column, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    return table


def _with_rest(table: Table, rows: int) -> Table:
    if rows > SHOWN:
        table.caption = f"and {rows - SHOWN} more: --json"
        table.caption_justify = "left"
    return table


def _percentiles(row: Row) -> list[str]:
    return [_ms(row[f"{name}_ms"]) for name in ("p50", "p95", "p99")]


def _ms(value: float | None) -> str:
    """Whole from 100 on, with decimals below."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f} %"


def _count(number: int) -> str:
    return f"{number:,}"


def _many(number: int, of: str) -> str:
    return f"{number:,} {of}{'' if number == 1 else 's'}"


def place(path_and_line: str) -> str:
    """The file's name with its folder, where __init__.py alone would say nothing."""
    path = PurePath(path_and_line)
    return "/".join(path.parts[-2:]) if path.name.startswith("__init__") else path.name
