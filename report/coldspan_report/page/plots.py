"""Figures for plotly.js, as plain dicts that plotly has checked. Pure. Colours are those of page.css; lines differ in
dashes and areas in patterns, too. Text and grid take the page's own colours (page.css), by day and by night."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from coldspan_report import words
from coldspan_report.page.answers import Bin, Change, PhaseAt

PER_DECADE = 10
COLORS = {"cold": "#56b4e9", "warm": "#e69f00", "before": "#9aa0a6", "after": "#d55e00"}
DASHES = {"cold": "solid", "warm": "dash"}
PHASES = {
    # name: (colour, pattern), in the order of a request
    "init": ("#f0e442", ""),
    "restore": ("#cc79a7", "."),
    "next": ("#0072b2", "/"),
    "event decode": ("#56b4e9", "-"),
    "handler": ("#009e73", "x"),
    "response encode": ("#e69f00", "|"),
    "response": ("#4a9fd8", "\\"),
}
OTHER_PHASE = ("#9aa0a6", "+")
PATTERN = {"fgcolor": "#000000", "fgopacity": 0.35, "size": 6}
ROW_HEIGHT = 46

Figure = dict[str, Any]


def distribution(bins: Sequence[Bin]) -> Figure:
    """Of each kind of request, the share that took so long; the axis of time is logarithmic."""
    counts: dict[str, dict[int, int]] = defaultdict(dict)
    for one in bins:
        counts[one["start"]][one["bin"]] = one["requests"]
    edges = range(min(one["bin"] for one in bins), max(one["bin"] for one in bins) + 2)
    figure = go.Figure(layout=_layout("share of requests", ticksuffix=" %"))
    for start in sorted(counts, key=list(COLORS).index):
        total = sum(counts[start].values()) or 1
        figure.add_scatter(
            x=[10 ** (edge / PER_DECADE) for edge in edges],
            y=[100 * counts[start].get(edge, 0) / total for edge in edges],
            name=f"{start} ({total:,})",
            line={"color": COLORS[start], "dash": DASHES[start], "shape": "hv", "width": 2},
            fill="tozeroy",
            hovertemplate="from %{x:.3~s} ms: %{y:.1f} %",
        )
    decades = range(edges[0] // PER_DECADE, -(-edges[-1] // PER_DECADE) + 1)
    ticks = {"tickvals": [10.0**decade for decade in decades], "ticktext": [_duration(decade) for decade in decades]}
    figure.update_xaxes(type="log", title="latency", **ticks)
    return _plain(figure)


def phases(rows: Sequence[PhaseAt]) -> Figure:
    """Stacked, for each part of the time; what a cold start took on average."""
    figure = go.Figure(layout=_layout("mean of cold starts", ticksuffix=" ms", barmode="stack"))
    found = {row["phase"] for row in rows}
    for phase in [*(phase for phase in PHASES if phase in found), *sorted(found - set(PHASES))]:
        of_phase = sorted((row for row in rows if row["phase"] == phase), key=lambda row: row["first_ns"])
        color, pattern = PHASES.get(phase, OTHER_PHASE)
        figure.add_bar(
            x=[words.instant(row["first_ns"]) for row in of_phase],
            y=[row["mean_ms"] for row in of_phase],
            customdata=[row["cold"] for row in of_phase],
            name=words.printable(phase),
            marker={"color": color, "pattern": {"shape": pattern, "fillmode": "overlay", **PATTERN}},
            hovertemplate="%{y:.1f} ms (%{customdata} cold starts)",
        )
    figure.update_xaxes(type="date", title="UTC")
    return _plain(figure)


def changes(rows: Sequence[Change], names: Mapping[str, str]) -> Figure:
    """Before and after of each figure as two marks on one line, the first row on top."""
    labels = [words.printable(row["name"]) for row in rows]
    layout = _layout("", height=110 + ROW_HEIGHT * len(rows))
    figure = go.Figure(layout=layout)
    for label, row in zip(labels, rows, strict=True):
        line = {"color": COLORS["before"], "width": 3}
        ends = [row["before_ms"], row["after_ms"]]
        figure.add_scatter(x=ends, y=[label] * 2, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    for side, symbol in (("before", "circle-open"), ("after", "diamond")):
        figure.add_scatter(
            x=[row["before_ms"] if side == "before" else row["after_ms"] for row in rows],
            y=labels,
            mode="markers",
            cliponaxis=False,
            name=words.printable(names[side]),
            marker={"color": COLORS[side], "symbol": symbol, "size": 13, "line": {"width": 3}},
            hovertemplate="%{x:.1f} ms",
        )
    figure.update_xaxes(ticksuffix=" ms", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", rangemode="normal", ticklabelstandoff=10)
    return _plain(figure)


def _layout(y_title: str, height: int = 320, ticksuffix: str = "", **others: Any) -> dict[str, Any]:
    return {
        "template": "none",
        "height": height,
        "margin": {"l": 56, "r": 12, "t": 36, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        "hovermode": "closest",
        "dragmode": False,
        "yaxis": {
            "title": {"text": y_title, "standoff": 10},
            "ticksuffix": ticksuffix,
            "rangemode": "tozero",
            "automargin": True,
        },
        **others,
    }


def _duration(decade: int) -> str:
    """10 ** decade ms."""
    return f"{10 ** (decade - 3)} s" if decade >= 3 else f"{10.0**decade:g} ms"


def _plain(figure: go.Figure) -> Figure:
    return dict(figure.to_plotly_json())
