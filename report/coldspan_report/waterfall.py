"""A trace as text: a head line, the numbers behind it, and a row for each span with a bar at its place in time.

    cold | 412 ms | on-demand | trace 5b8efff798038103d269b633813fc60c
      cold: on demand, 412 ms, 54 % imports; sqlalchemy 180 ms via app.py:3
      overhead: extension 3.1 ms, wrapper 1.9 ms
    orders            ██████████████████████████████████████       412.31 ms
      init            ████████████████████████                     260.02 ms
      handler                                 ██████               61.40 ms  error ValueError

Whatever is shown in colour is also said in words.
"""

from rich.cells import cell_len
from rich.text import Text

from coldspan_report import coldstart, words
from coldspan_report.traces import ERROR, SERVER, Row, Span, Trace

MS = 1_000_000
INDENT = "  "
DEEP = 3
GAP = "  "
BLOCK = "█"
TICK = "▏"
"""A span shorter than half a cell of the bar."""
LEAST_BAR = 10
MOST_MARK = 40

ERROR_STYLE = "red"
STYLES = {"init": "yellow", "restore": "yellow", "next": "blue", "handler": "green", "response": "blue"}
OTHER_STYLE = "cyan"


def waterfall(trace: Trace, width: int) -> Text:
    """Lines of at most `width` cells, if that is room enough for a name, a bar of LEAST_BAR cells and a figure."""
    lines = [_head(trace)]
    if explained := coldstart.explain(trace):
        lines.append(Text(INDENT + words.printable(explained), style="yellow"))
    if numbers := words.numbers(trace.root):
        lines.append(Text(INDENT + numbers, style="dim"))
    return Text("\n").join([*lines, *_rows(trace, width)]).append("\n")


def _head(trace: Trace) -> Text:
    root = trace.root
    word = words.start_word(trace)
    style = {"cold": "bold yellow", "warm": "bold green"}[word] if root.kind == SERVER else "bold"
    parts = [Text(word, style=style), Text(f"{words.short(root.duration_ns / MS)} ms", style="bold")]
    if init_type := root.attributes.get("coldspan.init.type"):
        parts.append(Text(words.printable(str(init_type))))
    return Text(" | ").join([*parts, Text(f"trace {trace.trace_id}")])


def _rows(trace: Trace, width: int) -> list[Text]:
    rows = coldstart.rows(trace)
    names = [_indent(row) + words.printable(row.span.name) for row in rows]
    figures = [f"{row.span.duration_ns / MS:.2f} ms" for row in rows]
    marks = [_mark(row.span)[:MOST_MARK] for row in rows]
    name_width = min(max(map(cell_len, names)), width * 2 // 5)
    figure_width = max(map(len, figures))
    mark_width = max(map(cell_len, marks))
    taken = name_width + len(GAP) + len(GAP) + figure_width + (len(GAP) + mark_width if mark_width else 0)
    bar_width = max(width - taken, LEAST_BAR)
    return [
        _row(row, _fitted(name, name_width), _bar(row.span, trace, bar_width), figure.rjust(figure_width), mark)
        for row, name, figure, mark in zip(rows, names, figures, marks, strict=True)
    ]


def _indent(row: Row) -> str:
    """Imports nest deeply: a cell each from there on."""
    return INDENT * min(row.depth, DEEP) + " " * max(row.depth - DEEP, 0)


def _row(row: Row, name: str, bar: str, figure: str, mark: str) -> Text:
    failed = row.span.status_code == ERROR
    text = Text(name, style=ERROR_STYLE if failed else "bold" if row.depth == 0 else "")
    phase = row.span.attributes.get("coldspan.phase")
    text.append(GAP).append(bar, style=ERROR_STYLE if failed else STYLES.get(str(phase), OTHER_STYLE))
    text.append(GAP).append(figure)
    if mark:
        text.append(GAP).append(mark, style=ERROR_STYLE if failed else "yellow")
    return text


def _mark(span: Span) -> str:
    return ", ".join(part for part in (words.place(span), words.status(span)) if part)


def _bar(span: Span, trace: Trace, width: int) -> str:
    """`width` cells that stand for the time from the trace's start to its end."""
    total_ns = max(trace.end_time_unix_nano - trace.start_time_unix_nano, 1)
    before = (span.start_time_unix_nano - trace.start_time_unix_nano) * width // total_ns
    before = min(before, width - 1)
    length = min(round(span.duration_ns * width / total_ns), width - before)
    return (" " * before + (BLOCK * length or TICK)).ljust(width)


def _fitted(name: str, width: int) -> str:
    text = Text(name)
    text.truncate(width, overflow="ellipsis", pad=True)
    return text.plain
