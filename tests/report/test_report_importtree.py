from collections.abc import Callable

import pytest

from coldspan_report.importtree import ImportNode, PathSum, added_up, costliest, placed, trees_of
from coldspan_report.traces import Span, traces_of

MakeSpan = Callable[..., Span]
MS = 1_000_000

Shape = tuple[str, float, float, list["Shape"]]
"""Name, total and self in ms, children."""


def shape(node: ImportNode) -> Shape:
    return node.name, node.total_ns / MS, node.self_ns / MS, [shape(child) for child in node.children]


def imported(span: MakeSpan, module: str, start_ms: float, end_ms: float, parent: str, **others: object) -> Span:
    return span(f"import {module}", start_ms, end_ms, parent=parent, coldspan__import__module=module, **others)


def test_what_imports_is_a_root_and_each_import_is_below_its_importer(span: MakeSpan, server: MakeSpan) -> None:
    (trace,) = traces_of(
        [
            server("fn", 0, 100),
            span("load handler", 0, 80, parent="fn"),
            imported(span, "app", 0, 80, "load handler"),
            imported(span, "b", 30, 70, "import app", coldspan__import__source="layer"),
            imported(span, "a", 0, 20, "import app", code__file__path="/var/task/app.py", code__line__number=3),
            span("other imports", 20, 25, parent="import app", coldspan__import__count=7),
            span("handler", 80, 100, parent="fn"),
            imported(span, "lazy", 80, 90, "handler"),
            imported(span, "beside", 1, 9, "load handler", thread__id=12),
        ]
    )
    trees = trees_of(trace)
    assert [shape(tree) for tree in trees] == [
        (
            "load handler",
            80,
            0,
            [("app", 80, 15, [("a", 20, 20, []), ("other imports", 5, 5, []), ("b", 40, 40, [])])],
        ),
        ("beside", 8, 8, []),
        ("handler", 20, 10, [("lazy", 10, 10, [])]),
    ]
    first, others, second = trees[0].children[0].children
    assert (first.place, second.source, others.count) == ("app.py:3", "layer", 7)


def test_cells_lie_side_by_side_inside_their_parent(span: MakeSpan) -> None:
    node = ImportNode("root", 100, 20, children=(ImportNode("a", 50, 50), ImportNode("b", 30, 30)))
    assert [(cell.node.name, cell.depth, cell.left, cell.width) for cell in placed(node)] == [
        ("root", 0, 0.0, 1.0),
        ("a", 1, 0.0, 0.5),
        ("b", 1, 0.5, pytest.approx(0.3)),
    ]


def test_children_that_took_longer_than_their_parent_stay_inside_it() -> None:
    """Clocks of other processes may say so."""
    node = ImportNode("root", 10, 0, children=(ImportNode("a", 30, 30), ImportNode("b", 10, 10)))
    assert [(cell.left, cell.width) for cell in placed(node)] == [(0.0, 1.0), (0.0, 0.75), (0.75, 0.25)]


def test_sums_by_path_are_a_tree_whose_parents_have_what_is_below_them() -> None:
    sums = [
        PathSum(("app", "boto3", "botocore"), 60 * MS, 3, "runtime"),
        PathSum(("app",), 10 * MS, 4, "function"),
        PathSum(("app", "json"), 5 * MS, 4, "stdlib"),
        PathSum(("app", "json"), 5 * MS, 2, "stdlib"),
    ]
    tree = added_up(sums, "all cold starts")
    assert shape(tree) == (
        "all cold starts",
        80,
        0,
        [("app", 80, 10, [("boto3", 60, 0, [("botocore", 60, 60, [])]), ("json", 10, 10, [])])],
    )
    assert (tree.count, tree.children[0].source) == (4, "function")


def test_no_sums_are_an_empty_tree() -> None:
    assert shape(added_up([], "all")) == ("all", 0, 0, [])


def test_the_costliest_are_modules_by_their_own_time() -> None:
    below = (ImportNode("a", 5, 5), ImportNode("other imports", 90, 90), ImportNode("b", 7, 7), ImportNode("c", 0, 0))
    assert [node.name for node in costliest(ImportNode("root", 108, 6, children=below), 2)] == ["b", "root"]
