"""The import tree: what becomes a span, what is summed, and that the times add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldspan_extension import importlog
from coldspan_extension.ids import Ids
from coldspan_extension.importlog import ImportLog
from coldspan_extension.imports import Policy, import_spans
from coldspan_extension.span import Span

MS = 1_000_000
TASK, STDLIB = "/var/task", "/var/lang/lib/python3.13"
SITE = f"{STDLIB}/site-packages"


class Told:
    """Lines as the wrapper writes them; times in ms."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def ran(
        self,
        module: str,
        begin: float,
        end: float | None,
        origin: str = "",
        by: str = "",
        line: int = 0,
        found: float | None = None,
        compiled: float = 0,
        error: str = "",
        thread: int = 1,
    ) -> "Told":
        head, where = f"{round(begin * MS)}\t{thread}\t{module}", f"{line}\t{by}"
        self.lines.append(f">\t{head}\t{where}")
        if end is not None:
            finding = 0 if found is None or error else round((found - begin) * MS)
            times = f"{round((end - begin) * MS)}\t{finding}\t{round(compiled * MS)}"
            self.lines.append(f"<\t{head}\t{times}\t{where}\t{error}\t{origin}")
        return self

    def sampled(self, at: float, module: str, line: int, elapsed: float = 15) -> "Told":
        self.lines.append(f"~\t{round(at * MS)}\t1\t{module}\t{line}\t{round(elapsed * MS)}")
        return self

    def spans(
        self, threshold_ms: float = 5, limit: int = 60, end: float = 100, failed: bool = False
    ) -> tuple[Span, list[Span]]:
        log = ImportLog(TASK, STDLIB)
        log.add("\n".join(self.lines), 0)
        log.read()
        assert log.lost == 0
        parent = Span("load handler", b"t" * 16, b"parentid", b"", 0, round(end * MS), {})
        parent.error = failed
        policy = Policy(round(threshold_ms * MS), limit)
        return parent, import_spans(parent, "init/load handler#1", Ids("r", 1), log, policy)


def boto() -> Told:
    return (
        Told()
        .ran("app", 1, 99, f"{TASK}/app.py", "awslambdaric.bootstrap", 54, found=2)
        .ran("boto3", 3, 63, "/opt/python/boto3/__init__.py", "app", 3, found=4, compiled=2)
        .ran("botocore", 5, 45, f"{SITE}/botocore/__init__.py", "boto3", 14)
        .ran("json", 6, 16, f"{STDLIB}/json/__init__.py", "botocore", 20)
        .ran("ujson", 46, 47, by="boto3", line=20, error="ModuleNotFoundError: No module named 'ujson'")
        .ran("math", 64, 65, "built-in", "app", 5)
        .ran("os", 65, 66, "frozen", "app", 6)
    )


def told(spans: list[Span]) -> list[tuple[str, float, float]]:
    return [(span.name, span.start_ns / MS, span.end_ns / MS) for span in spans]


def test_imports_that_matter_are_spans_where_they_happened_and_the_rest_is_summed() -> None:
    parent, spans = boto().spans()
    assert told(spans) == [
        ("import app", 1, 99),
        ("import boto3", 3, 63),
        ("import botocore", 5, 45),
        ("import json", 6, 16),
        ("other imports", 46, 47),
        ("other imports", 64, 66),
    ]
    by_id = {span.span_id: span.name for span in [parent, *spans]}
    assert [by_id[span.parent_id] for span in spans] == [
        "load handler", "import app", "import boto3", "import botocore", "import boto3", "import app",
    ]  # fmt: skip
    assert parent.attributes["coldspan.import.count"] == 7
    assert spans[-1].attributes == {"coldspan.import.count": 2}
    assert spans[-2].attributes == {
        "coldspan.import.count": 1,
        "coldspan.import.errors": ["ujson: ModuleNotFoundError: No module named 'ujson'"],
    }


def test_an_import_tells_what_it_is_where_it_comes_from_and_who_wanted_it() -> None:
    _, spans = boto().spans()
    named = {span.name: span.attributes for span in spans}
    assert named["import boto3"] == {
        "coldspan.import.module": "boto3",
        "coldspan.import.source": "layer",
        "coldspan.import.find.duration": 0.001,
        "coldspan.import.compiled": True,
        "coldspan.import.compile.duration": 0.002,
        "code.file.path": f"{TASK}/app.py",
        "code.line.number": 3,
        "coldspan.self_time": 0.019,
    }
    assert [named[f"import {name}"]["coldspan.import.source"] for name in ("app", "botocore", "json")] == [
        "function", "runtime", "stdlib",
    ]  # fmt: skip


@pytest.mark.parametrize("threshold_ms", [0, 1, 5, 50, 1000])
@pytest.mark.parametrize("limit", [0, 2, 60])
def test_children_and_self_time_add_up_to_the_duration(threshold_ms: float, limit: int) -> None:
    parent, spans = boto().spans(threshold_ms, limit)
    for span in [parent, *spans]:
        if "coldspan.self_time" in span.attributes:
            children = sum(child.end_ns - child.start_ns for child in spans if child.parent_id == span.span_id)
            assert span.attributes["coldspan.self_time"] == (span.end_ns - span.start_ns - children) / 1e9


@st.composite
def trees(draw: st.DrawFn) -> Told:
    """Random nests, some of which never end."""
    made = Told()

    def below(begin: int, end: int, depth: int, name: str) -> None:
        at = begin
        for number in range(draw(st.integers(0, 3))):
            if end - at < 3 or depth > 4:
                return
            start = draw(st.integers(at, end - 2))
            stop = draw(st.integers(start + 1, end - 1))
            made.ran(f"{name}.{number}", start, stop)
            below(start, stop, depth + 1, f"{name}.{number}")
            at = stop

    below(0, 100, 0, "m")
    return made


@given(trees(), st.integers(0, 30), st.integers(0, 10))
def test_any_tree_keeps_its_children_inside_and_its_times_adding_up(made: Told, threshold: int, limit: int) -> None:
    if not made.lines:
        return
    parent, spans = made.spans(threshold, limit)
    by_id = {span.span_id: span for span in [parent, *spans]}
    assert len(by_id) == len(spans) + 1
    for span in spans:
        around = by_id[span.parent_id]
        assert around.start_ns <= span.start_ns <= span.end_ns <= around.end_ns
    for span in by_id.values():
        if "coldspan.self_time" in span.attributes:
            children = sum(child.end_ns - child.start_ns for child in spans if child.parent_id == span.span_id)
            assert span.attributes["coldspan.self_time"] == max(0, span.end_ns - span.start_ns - children) / 1e9
    counted = sum(1 for span in spans if span.name != "other imports")
    counted += sum(int(str(s.attributes["coldspan.import.count"])) for s in spans if s.name == "other imports")
    assert counted == parent.attributes.get("coldspan.import.count", 0)


def test_an_import_that_was_running_when_the_process_died_ends_with_its_parent_and_says_so() -> None:
    made = Told().ran("app", 1, None, by="x", line=1).ran("slow", 2, None, by="app", line=7)
    _, spans = made.spans(failed=True)
    assert told(spans) == [("import app", 1, 100), ("import slow", 2, 100)]
    assert all(span.attributes["coldspan.truncated"] is True for span in spans)


def test_an_import_that_raised_and_was_caught_does_not_mark_its_span() -> None:
    made = Told().ran("app", 1, 99, f"{TASK}/app.py").ran("fast_json", 2, 20, error="ModuleNotFoundError: no")
    _, spans = made.spans()
    assert spans[1].attributes["coldspan.import.error"] == "ModuleNotFoundError: no"
    assert not spans[1].error


def test_a_sum_names_ten_of_those_that_raised_inside_it_and_counts_the_others() -> None:
    made = Told().ran("app", 0, 99, f"{TASK}/app.py").ran("facade", 1, 30, by="app")
    for number in range(12):
        made.ran(f"optional_{number}", 2 + number, 2.5 + number, by="facade", error="ImportError: no")
    _, spans = made.spans(threshold_ms=50)
    (others,) = [span for span in spans if span.name == "other imports"]
    named = [f"optional_{number}: ImportError: no" for number in range(10)]
    assert others.attributes == {"coldspan.import.count": 13, "coldspan.import.errors": [*named, "and 2 more"]}


def test_the_imports_that_led_to_the_failure_are_shown_and_marked_however_short() -> None:
    made = (
        Told()
        .ran("app", 1, 9, error="ModuleNotFoundError: No module named 'gone'")
        .ran("optional", 2, 3, by="app", line=1, error="ImportError: caught")
        .ran("helper", 4, 8, by="app", line=2, error="ModuleNotFoundError: No module named 'gone'")
        .ran("gone", 5, 6, by="helper", line=1, error="ModuleNotFoundError: No module named 'gone'")
    )
    _, spans = made.spans(threshold_ms=50, failed=True)
    marked = [(span.name, span.attributes["error.type"]) for span in spans if span.error]
    assert ("import gone", "ModuleNotFoundError") in marked
    assert ("import helper", "ModuleNotFoundError") in marked


def test_what_a_module_did_beside_importing_is_an_event_with_its_line() -> None:
    made = boto().sampled(70, "app", 9).sampled(85, "app", 9).sampled(30, "json", 4)
    parent, spans = made.spans(threshold_ms=20)
    named = {span.name: span for span in spans}
    (event,) = named["import app"].events
    assert (event.name, event.time_ns) == ("module body", 70 * MS)
    assert event.attributes == {
        "code.file.path": f"{TASK}/app.py",
        "code.line.number": 9,
        "coldspan.module_body.duration": 0.03,
        "coldspan.module_body.share": 0.3,
        "coldspan.sampled": True,
    }
    (nearest,) = named["import botocore"].events  # json is not shown
    assert nearest.attributes["code.file.path"] == f"{STDLIB}/json/__init__.py"
    assert parent.events == [parent.events[0]]  # missing bytecode alone


def test_missing_bytecode_is_summed_in_words() -> None:
    parent, _ = boto().spans()
    (event,) = parent.events
    assert event.attributes["coldspan.advice"] == "2 ms compiling 1 module: ship .pyc"
    assert parent.attributes["coldspan.import.compile.duration"] == 0.002


def test_what_another_thread_imports_beside_it_is_not_the_loads_own_time() -> None:
    made = Told().ran("app", 0, 100, f"{TASK}/app.py").ran("background", 10, 90, thread=2)
    parent, spans = made.spans()
    background = spans[1]
    assert background.parent_id == parent.span_id
    assert background.attributes["thread.id"] == 2
    assert parent.attributes["coldspan.self_time"] == 0


def test_lines_that_cannot_be_read_are_counted_and_cost_nothing_else() -> None:
    log = ImportLog(TASK, STDLIB)
    log.add(">\t1\t1\ta\t2\tb\nnonsense\n>\tx\n<\t1\t1\ta\t5\t2\t0", 0)
    log.read()
    assert log.lost == 3
    assert [found.module for found in log.between(0, 10)] == ["a"]


def test_imports_of_our_own_modules_are_left_out_and_what_they_import_is_not() -> None:
    made = (
        Told()
        .ran("coldspan_wrapper.lazy", 10, 20, "/opt/coldspan/lazy.py")
        .ran("json", 12, 18, by="coldspan_wrapper.lazy")
    )
    _, spans = made.spans()
    assert [span.name for span in spans] == ["import json"]


def test_a_process_can_import_no_more_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlog, "MAX_IMPORTS", 2)
    log = ImportLog(TASK, STDLIB)
    log.add("\n".join(f">\t{n}\t1\tm{n}\t0\t" for n in range(5)), 0)
    log.read()
    assert log.lost == 3
