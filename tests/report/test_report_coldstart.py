"""Why a cold start was slow, in words, and which of its imports are worth a row."""

from collections.abc import Callable

from coldspan_report import coldstart
from coldspan_report.traces import Event, Span, traces_of

MakeSpan = Callable[..., Span]


def explained(*spans: Span) -> str:
    (trace,) = traces_of(spans)
    return coldstart.explain(trace)


def test_a_warm_trace_needs_no_words(server: MakeSpan) -> None:
    assert explained(server("fn", 0, 10, faas__coldstart=False)) == ""


def test_a_cold_start_without_a_load_is_its_type_and_time(server: MakeSpan) -> None:
    cold = {"faas__coldstart": True, "coldspan__init__type": "snap-start"}
    assert explained(server("fn", 0, 250, **cold)) == "cold: SnapStart, 250 ms"


def test_an_init_repeated_after_a_reset_is_called_that(server: MakeSpan) -> None:
    cold = {"faas__coldstart": True, "coldspan__init__type": "on-demand", "coldspan__init__phase": "invoke"}
    assert explained(server("fn", 0, 250, **cold)) == "cold: on demand, init repeated after a reset, 250 ms"


def test_advice_of_the_trace_is_repeated(span: MakeSpan, server: MakeSpan) -> None:
    advice = Event("missing bytecode", 0, {"coldspan.advice": "312 ms compiling 486 modules: ship .pyc"})
    words = explained(
        server("fn", 0, 400, faas__coldstart=True, coldspan__init__type="on-demand"),
        span("init", 0, 390, parent="fn"),
        span("load handler", 10, 390, parent="init", events=(advice,)),
        span("import app", 10, 390, parent="load handler", coldspan__self_time=0.38),
    )
    assert words == "cold: on demand, 400 ms, 0 % imports; 312 ms compiling 486 modules: ship .pyc"


def test_a_module_that_does_little_but_import_another_has_no_row(span: MakeSpan, server: MakeSpan) -> None:
    (trace,) = traces_of(
        [
            server("fn", 0, 1000),
            span("init", 0, 900, parent="fn"),
            span("load handler", 0, 900, parent="init"),
            span("import app", 0, 900, parent="load handler"),
            span("import package", 0, 890, parent="import app"),
            span("import package.api", 1, 889, parent="import package"),
            span("import package.core", 2, 888, parent="import package.api"),
            span("import numbers", 3, 100, parent="import package.core"),
        ]
    )
    names = [row.span.name for row in coldstart.rows(trace)]
    assert names[3:] == ["import app", "import package", "import package.core", "import numbers"]


def test_short_imports_have_no_row_unless_they_failed_or_were_running(span: MakeSpan, server: MakeSpan) -> None:
    (trace,) = traces_of(
        [
            server("fn", 0, 1000),
            span("init", 0, 900, parent="fn"),
            span("load handler", 0, 900, parent="init"),
            span("import app", 0, 900, parent="load handler"),
            span("import short", 0, 5, parent="import app"),
            span("import long", 100, 200, parent="import app"),
            span("import longer", 200, 500, parent="import app"),
            span("import broken", 500, 501, parent="import app", error=True, error__type="ImportError"),
            span("import running", 899, 900, parent="import app", coldspan__truncated=True),
        ]
    )
    names = [row.span.name for row in coldstart.rows(trace)]
    assert names[3:] == ["import app", "import longer", "import long", "import broken", "import running"]
