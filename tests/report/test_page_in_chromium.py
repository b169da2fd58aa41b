"""Pages in a real browser, on a phone's width and a desktop's, by day and by night."""

from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator

from coldspan_report.page.answers import Answers
from coldspan_report.page.report_page import report_page
from coldspan_report.page.trace_page import trace_page
from coldspan_report.traces import Event, Span, traces_of
from coldspan_testing.answers import ANSWERS, CHANGES
from coldspan_testing.chromium import PHONE, SCHEMES, WIDTHS, opened

MakeSpan = Callable[..., Span]

HOSTILE = '</script><script>console.error("ran")</script><img src=x onerror=\'console.error("ran")\'>'
LONG = "import " + ".".join(["a_package_with_a_long_name"] * 6)


def spans(span: MakeSpan, server: MakeSpan) -> list[Span]:
    """A cold start with imports long and short, in the function and below it, and a warm request that failed."""

    def imported(module: str, start_ms: float, end_ms: float, parent: str, source: str, **others: object) -> Span:
        told = {"coldspan__import__module": module, "coldspan__import__source": source, **others}
        return span(f"import {module}", start_ms, end_ms, parent=parent, **told)

    at_line_3 = {"code.file.path": "/var/task/app.py", "code.line.number": 3}
    raised = Event("exception", 0, {"exception.type": "KeyError", "exception.stacktrace": "Traceback\n  line 1"})
    return [
        server("orders", 0, 400, faas__coldstart=True, coldspan__init__type="on-demand"),
        span("init", 0, 340, parent="orders", coldspan__phase="init"),
        span("load handler", 20, 340, parent="init"),
        imported("app", 20, 340, "load handler", "function"),
        imported("heavy", 20, 220, "import app", "runtime", **at_line_3),
        imported("heavy.core", 30, 200, "import heavy", "runtime"),
        imported("json", 220, 250, "import app", "stdlib"),
        imported("shared", 250, 300, "import app", "layer"),
        imported("short", 300, 302, "import app", "stdlib"),
        span(LONG, 302, 330, parent="import app"),
        span("handler", 345, 395, parent="orders", coldspan__phase="handler"),
        server("failed", 500, 510, trace=2, error=True, error__type="KeyError"),
        span("call", 501, 509, parent="failed", trace=2, error=True, error__type="KeyError", events=(raised,)),
    ]


@pytest.fixture
def page_file(tmp_path: Path, span: MakeSpan, server: MakeSpan) -> Path:
    return written(tmp_path, trace_page(traces_of(spans(span, server)), "coldspan: orders"))


def written(folder: Path, html: str) -> Path:
    file = folder / "page.html"
    file.write_text(html)
    return file


def names(rows: Locator) -> list[str]:
    return [name.strip() for name in rows.locator("visible=true").locator(".name").all_inner_texts()]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_traces_are_whole_and_quiet(browser: Browser, page_file: Path, width: int, scheme: str) -> None:
    with opened(browser, page_file, width, scheme) as here:
        cold, warm = here.page.locator(".trace").all()
        assert names(cold.locator(".row")) == [
            "orders",
            "init",
            "load handler",
            "import app",
            "import heavy",
            "import heavy.core",
            "import json",
            "import shared",
            LONG,
            "handler",
        ]
        assert "cold: on demand, 400 ms" in cold.inner_text()
        assert "app.py:3" in cold.locator(".row", has_text="import heavy").first.inner_text()
        assert "✗ error KeyError" in warm.locator(".row").first.inner_text()
        for row in here.page.locator(".row summary").locator("visible=true").all():
            row.click()
        assert not here.scrolls_sideways
        ground = here.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
        assert (here.said, here.asked) == ([], [])


def test_short_imports_come_when_asked_for(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as here:
        cold = here.page.locator(".trace").first
        cold.get_by_role("button", name="Show all 11 spans").click()
        assert "import short" in names(cold.locator(".row"))
        cold.get_by_role("button", name="Show the longer ones only").click()
        assert "import short" not in names(cold.locator(".row"))


def test_rows_are_reached_and_opened_by_keyboard(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as here:
        rows = here.page.locator(".trace").nth(1).locator(".row")
        rows.first.locator("summary").focus()
        for key in ("ArrowDown", "Enter"):
            here.page.keyboard.press(key)
        opened_row = here.page.locator(".row[open]")
        assert names(opened_row) == ["call"]
        assert "exception.stacktrace\nTraceback\n  line 1" in opened_row.inner_text()
        here.page.keyboard.press("ArrowLeft")
        assert opened_row.count() == 0
        here.page.keyboard.press("ArrowUp")
        assert here.page.evaluate("document.activeElement.innerText").startswith("failed")


def test_the_icicle_zooms_by_click(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file, PHONE) as here:
        icicle = here.page.locator("[data-icicle]").first
        heavy = icicle.get_by_role("button", name="heavy: 200 ms")
        assert share_of(heavy, icicle) == pytest.approx(200 / 320, abs=0.01)
        heavy.click()
        assert share_of(heavy, icicle) == pytest.approx(1, abs=0.01)
        assert share_of(icicle.get_by_role("button", name="heavy.core"), icicle) == pytest.approx(170 / 200, abs=0.01)
        assert not icicle.get_by_role("button", name="json").is_visible()
        assert icicle.locator("[data-crumbs]").inner_text() == "load handler > app > heavy"
        icicle.get_by_role("button", name="Zoom out").click()
        assert icicle.locator("[data-crumbs]").inner_text() == "load handler > app"
        assert share_of(heavy, icicle) == pytest.approx(200 / 320, abs=0.01)


def share_of(cell: Locator, icicle: Locator) -> float:
    box, whole = cell.bounding_box(), icicle.locator(".cells").bounding_box()
    assert box
    assert whole
    return box["width"] / whole["width"]


def test_the_icicle_zooms_by_keyboard(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file) as here:
        icicle = here.page.locator("[data-icicle]").first
        assert icicle.locator(".cell[tabindex='0']").count() == 1
        icicle.locator(".cell[tabindex='0']").focus()
        for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
            here.page.keyboard.press(key)
        detail = icicle.locator(".detail")
        assert detail.inner_text().startswith("json: 30 ms with its imports (9 %), 30 ms its own, stdlib")
        here.page.keyboard.press("Enter")
        assert icicle.locator("[data-crumbs]").inner_text() == "load handler > app > json"
        here.page.keyboard.press("Escape")
        assert icicle.locator("[data-crumbs]").inner_text() == "load handler"


def test_what_spans_carry_is_text_and_never_markup(
    browser: Browser, tmp_path: Path, span: MakeSpan, server: MakeSpan
) -> None:
    event = Event(HOSTILE, 0, {HOSTILE: HOSTILE})
    told = {"coldspan__init__type": HOSTILE, "coldspan__import__source": HOSTILE, "error__type": HOSTILE}
    hostile = [
        server(HOSTILE, 0, 10, faas__coldstart=True, **told),
        span("load handler", 0, 9, parent=HOSTILE),
        span("import \u202ex\x00\ud800", 0, 8, parent="load handler", events=(event,), error=True, **told),
    ]
    with opened(browser, written(tmp_path, trace_page(traces_of(hostile), HOSTILE)), PHONE) as here:
        assert here.page.title() == HOSTILE
        assert names(here.page.locator(".row")) == [HOSTILE, "load handler", "import \ufffdx\ufffd\ufffd"]
        for row in here.page.locator(".row summary").all():
            row.click()
        assert not here.scrolls_sideways
        assert (here.page.locator("img").count(), here.said, here.asked) == (0, [], [])


def test_a_script_that_got_into_the_page_would_not_run(browser: Browser, page_file: Path) -> None:
    page_file.write_text(page_file.read_text().replace("<main>", "<main><script>document.title = 'ran'</script>"))
    with opened(browser, page_file) as here:
        assert here.page.title() == "coldspan: orders"
        assert "Content Security Policy" in here.said[0]


def test_no_traces_are_a_page_that_says_so(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(tmp_path, trace_page([], "coldspan: none"))) as here:
        assert "No spans came from the layer" in here.page.locator("main").inner_text()
        assert here.said == []


@pytest.mark.parametrize(("width", "scheme"), list(zip(WIDTHS, SCHEMES, strict=True)))
def test_a_report_draws_its_answers_and_has_their_figures_as_text(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    with opened(browser, written(tmp_path, report_page(ANSWERS)), width, scheme) as here:
        plots = here.page.locator("[data-plot]")
        drawn = [plot.locator(".scatterlayer .trace, .barlayer .trace").count() for plot in plots.all()]
        assert drawn == [2, len({row["phase"] for row in ANSWERS["phases"]}), len(CHANGES) + 2]
        for plot in plots.all():
            box = plot.locator(".main-svg").first.bounding_box()
            assert box
            assert 0 < box["x"] + box["width"] <= width
        text = here.page.locator("main").inner_text()
        for told in (
            *ANSWERS["sentences"],
            *ANSWERS["warnings"],
            "1,203.5 ms",
            "+171.0 to +208.4 ms",
            "slower",
            "None.",
        ):
            assert told in text
        cell = here.page.get_by_role("button", name="pandas: 23,000 ms")
        assert "in 120 of 202 cold starts" in str(cell.get_attribute("aria-label"))
        color = plots.first.locator(".xtick text").first.evaluate("each => getComputedStyle(each).fill")
        assert color == here.page.evaluate("getComputedStyle(document.body).color")
        assert not here.scrolls_sideways
        assert (here.said, here.asked) == ([], [])


@pytest.mark.parametrize(("width", "scheme"), list(zip(WIDTHS, SCHEMES, strict=True)))
def test_axe_finds_no_barrier_in_either_page(
    browser: Browser, tmp_path: Path, page_file: Path, width: int, scheme: str
) -> None:
    """Names, roles, contrast: axe-core's rules, on what is shown, with every row and table open."""
    for html in (page_file.read_text(), report_page(ANSWERS)):
        with opened(browser, written(tmp_path, html), width, scheme) as here:
            here.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            assert Axe().run(here.page).response["violations"] == []


def test_a_report_takes_its_answers_as_text(browser: Browser, tmp_path: Path) -> None:
    answers: Answers = {
        "title": HOSTILE,
        "sentences": [HOSTILE],
        "phases": [{"first_ns": 0, "phase": HOSTILE, "mean_ms": 1.0, "cold": 1}],
        "imports": [{"path": ["app", HOSTILE], "source": HOSTILE, "self_ms": 1.0, "starts": 1}],
        "comparison": {"before": HOSTILE, "after": HOSTILE, "changes": [{**CHANGES[0], "name": HOSTILE}]},
        "tables": [{"title": HOSTILE, "columns": [HOSTILE], "rows": [[HOSTILE]]}],
    }
    with opened(browser, written(tmp_path, report_page(answers))) as here:
        assert here.page.title() == HOSTILE
        assert (here.page.locator("img").count(), here.said, here.asked) == (0, [], [])


def test_a_report_of_nothing_says_so(browser: Browser, tmp_path: Path) -> None:
    nothing: Answers = {"distribution": [], "latency": [], "phases": [], "imports": [], "comparison": None}
    with opened(browser, written(tmp_path, report_page(nothing))) as here:
        text = here.page.locator("main").inner_text()
        assert all(told in text for told in ("No requests.", "No cold starts.", "No imports were observed."))
        assert here.page.evaluate("typeof Plotly") == "undefined"
        assert (here.said, here.asked) == ([], [])
