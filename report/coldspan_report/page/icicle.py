"""An import tree as an icicle: a cell is as wide as it took with its imports, the bar at its foot as it took itself.

Cells are buttons at shares of the whole; page.js zooms by two numbers on their container, and without it all are there.
"""

from markupsafe import Markup

from coldspan_report import words
from coldspan_report.importtree import ImportNode, Placed, costliest, placed
from coldspan_report.page.shell import fragment
from coldspan_report.page.tables import Cell, ms, table

SOURCES = {
    "function": "the function's own",
    "layer": "a layer's",
    "runtime": "the runtime's packages",
    "stdlib": "standard library",
    "none": "no module, or not known",
}
MOST_CELLS = 2000
"""The widest ones, where every import is asked for: narrower ones could not be seen. The page says how many."""
TABLE_ROWS = 12


def icicle(root: ImportNode, label: str, cold_starts: int | None = None) -> Markup:
    """Of one cold start, or of so many that are added up."""
    all_cells = list(placed(root))
    widest = sorted(range(len(all_cells)), key=lambda at: -all_cells[at].width)  # of equals, parents come first
    cells = [all_cells[at] for at in sorted(widest[:MOST_CELLS])]
    kinds = {_kind(cell.node) for cell in cells}
    return fragment(
        "icicle.html",
        label=label,
        left_out=len(all_cells) - len(cells),
        rows=max(cell.depth for cell in cells) + 1,
        cells=[_cell(cell, root, cold_starts) for cell in cells],
        kinds=[(kind, told) for kind, told in SOURCES.items() if kind in kinds],
        costliest=_costliest(root, label, cold_starts),
    )


def _cell(cell: Placed, root: ImportNode, cold_starts: int | None) -> dict[str, object]:
    node = cell.node
    share = node.total_ns / max(root.total_ns, 1)
    parts = [
        f"{_time(node.total_ns)} with its imports ({100 * share:.0f} %)",
        f"{_time(node.self_ns)} its own",
        node.source,
        f"imported at {node.place}" if node.place else "",
    ]
    if cold_starts is not None:
        parts.append(f"in {node.count} of {cold_starts} cold starts")
        parts.append(f"{_time(node.total_ns / max(cold_starts, 1))} for each")
    elif node.count > 1:
        parts.append(f"{node.count} imports")
    return {
        "name": node.name,
        "figure": _time(node.total_ns),
        "detail": ", ".join(part for part in parts if part),
        "kind": _kind(node),
        "depth": cell.depth,
        "left": f"{cell.left:.6f}",
        "width": f"{max(cell.width, 1e-6):.6f}",
        "own": f"{node.self_ns / max(node.total_ns, 1):.4f}",
    }


def _costliest(root: ImportNode, label: str, cold_starts: int | None) -> Markup | None:
    columns = [
        "module",
        "its own",
        "with its imports",
        "source",
        "imported at" if cold_starts is None else "cold starts",
    ]
    rows: list[list[Cell]] = [
        [
            node.name,
            ms(node.self_ns / words.MS),
            ms(node.total_ns / words.MS),
            node.source,
            node.place if cold_starts is None else node.count,
        ]
        for node in costliest(root, TABLE_ROWS)
    ]
    return table(f"{label}, the costliest", columns, rows)


def _kind(node: ImportNode) -> str:
    return node.source if node.source in SOURCES else "none"


def _time(ns: float) -> str:
    return f"{ns / words.MS:,.0f} ms" if ns >= 1000 * words.MS else f"{words.short(ns / words.MS)} ms"
