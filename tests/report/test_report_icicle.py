from coldspan_report.importtree import ImportNode
from coldspan_report.page.icicle import MOST_CELLS, icicle


def test_of_very_many_imports_the_widest_have_cells_and_the_others_are_counted() -> None:
    short = tuple(ImportNode(f"short{number}", 1, 1) for number in range(MOST_CELLS))
    long = ImportNode("long", 500, 500)
    html = icicle(ImportNode("load handler", MOST_CELLS + 500, 0, children=(*short, long)), "Imports")
    assert html.count('<button type="button" class="cell') == MOST_CELLS
    assert 'data-name="long"' in html
    assert "2 imports that took least have no cell." in html
