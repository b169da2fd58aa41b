"""A table that scrolls sideways where it is wider than the page. Cells that are figures are set right."""

from collections.abc import Sequence

from markupsafe import Markup

from coldspan_report.page.shell import fragment

Cell = str | int | float | None


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Markup | None:
    """`title` is for those who do not see where it stands. None where there are no rows."""
    if not rows:
        return None
    cells = [[{"text": _text(cell), "is_figure": _is_figure(cell)} for cell in row] for row in rows]
    return fragment(
        "table.html", title=title, columns=columns, rows=cells, figures=[each["is_figure"] for each in cells[0]]
    )


def ms(milliseconds: float) -> str:
    return f"{milliseconds:,.1f} ms"


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else f"{cell:,.1f}" if isinstance(cell, float) else f"{cell:,}"


def _is_figure(cell: Cell) -> bool:
    return not isinstance(cell, str) or cell.endswith(" ms")
