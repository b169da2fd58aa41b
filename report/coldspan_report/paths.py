"""The import tree of many cold starts, from the edges of their graphs. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from coldspan_report.page.answers import ImportPath

Row = Mapping[str, Any]


def import_paths(edges: Sequence[Row]) -> list[ImportPath]:
    """Rows of the question import_edges, each at its path from the handler's module down.

    A process imports a module once, so a start's edges are a tree; starts differ. Where a module has several importers,
    its own imports stand below the one for which it took longest. A ring that this makes is cut where it begins.
    """
    above: dict[str, str] = {}
    for edge in sorted(edges, key=lambda edge: -edge["total_ms"]):
        above.setdefault(edge["module"], edge["parent"])
    return [
        {
            "path": [*_path(edge["parent"], above), edge["module"]],
            "source": edge["source"],
            "self_ms": edge["total_ms"],
            "starts": edge["starts"],
        }
        for edge in edges
    ]


def _path(module: str, above: Mapping[str, str]) -> list[str]:
    path: list[str] = []
    while module and module not in path:
        path.insert(0, module)
        module = above.get(module, "")
    return path
