"""The golden texts are what a person sees: change them by hand, and look at them."""

import io
import textwrap
from collections.abc import Callable

from rich.console import Console

from coldspan_report.traces import Event, Span, traces_of
from coldspan_report.waterfall import waterfall

MakeSpan = Callable[..., Span]

COLD = """
    cold | 412 ms | on-demand | trace 00000000000000000000000000000001
      cold: on demand, 412 ms, 66 % imports; botocore 150 ms via app.py:3; app.py:9 some 30 ms, not an import
      overhead: extension 3.1 ms, wrapper 12 ms
    orders                   ████████████████          412.31 ms
      init                   ██████████████            340.00 ms
        extension init       █                          19.00 ms
        load handler          ████████████             299.50 ms
          import app          ████████████             299.50 ms
           import boto3       █████████                230.00 ms  app.py:3
            import botocore    ██████                  150.00 ms
           other imports               ██               41.50 ms  caught ujson, yaml
      next                                ▏              0.50 ms
      handler                             ██            58.00 ms
      response                               ▏          11.30 ms
      after response                         ████████  187.69 ms
"""

FAILED = """
    warm | 3000 ms | trace 00000000000000000000000000000001
      idle 1200 ms | overhead: export 4.0 ms | dropped: 3 records
    fn                                ██████████  3000.00 ms  error timeout, truncated
      a name that is much too long …  █████       1500.00 ms
      handler                              █████  1500.00 ms  error
"""

INIT_ALONE = """
    init | 10000 ms | provisioned-concurrency | trace 00000000000000000000000000000001
    init  ████████████████████████████  10000.00 ms  error Runtime.ImportModuleError
"""


def text_of(*spans: Span, width: int = 80) -> str:
    (trace,) = traces_of(spans)
    return waterfall(trace, width).plain


def golden(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def test_a_cold_trace_shows_its_head_its_costs_and_a_row_for_each_span(span: MakeSpan, server: MakeSpan) -> None:
    costs = {"coldspan__overhead__extension": 0.0031, "coldspan__overhead__wrapper": 0.0119}
    told = {"code.file.path": "/var/task/app.py", "code.line.number": 9, "coldspan.module_body.duration": 0.03}
    body = Event("module body", 0, told)
    shown = text_of(
        server("orders", 0, 412.31, faas__coldstart=True, coldspan__init__type="on-demand", **costs),
        span("init", 0, 340, parent="orders", coldspan__phase="init"),
        span("extension init", 1, 20, parent="init"),
        span("load handler", 40, 339.5, parent="init"),
        span("import app", 40, 339.5, parent="load handler", events=(body,), coldspan__self_time=0.028),
        span(
            "import boto3",
            40,
            270,
            parent="import app",
            coldspan__self_time=0.08,
            coldspan__import__module="boto3",
            code__file__path="/var/task/app.py",
            code__line__number=3,
        ),
        span(
            "import botocore",
            50,
            200,
            parent="import boto3",
            coldspan__self_time=0.15,
            coldspan__import__module="botocore",
        ),
        span(
            "other imports",
            270,
            311.5,
            parent="import app",
            coldspan__import__errors=["ujson: ModuleNotFoundError: No module named 'ujson'", "yaml: ImportError"],
        ),
        span("next", 341, 341.5, parent="orders", coldspan__phase="next"),
        span("handler", 342, 400, parent="orders", coldspan__phase="handler"),
        span("response", 401, 412.3, parent="orders", coldspan__phase="response"),
        span("after response", 412.31, 600, parent="orders"),
    )
    assert shown == golden(COLD)


def test_what_failed_was_cut_short_or_dropped_is_said_in_words(span: MakeSpan, server: MakeSpan) -> None:
    numbers = {
        "coldspan__idle__duration": 1.2,
        "coldspan__overhead__export": 0.004,
        "coldspan__dropped__records": 3,
        "coldspan__dropped__spans": 0,
    }
    failure = {"error": True, "error__type": "timeout", "coldspan__truncated": True}
    shown = text_of(
        server("fn", 0, 3000, faas__coldstart=False, **numbers, **failure),
        span("a name that is much too long for its column", 0, 1500, parent="fn"),
        span("handler", 1500, 3000, parent="fn", error=True),
    )
    assert shown == golden(FAILED)


def test_a_trace_without_a_request_is_headed_by_its_init(span: MakeSpan) -> None:
    failure = {"error": True, "error__type": "Runtime.ImportModuleError"}
    shown = text_of(span("init", 0, 10_000, coldspan__init__type="provisioned-concurrency", **failure))
    assert shown == golden(INIT_ALONE)


def test_rows_fit_into_the_width(span: MakeSpan, server: MakeSpan) -> None:
    spans = [server("f" * 300, 0, 10), *(span(f"s{n}", n, n + 1, parent="f" * 300) for n in range(10))]
    for width in (60, 100, 237):
        _head, *rows = text_of(*spans, width=width).rstrip("\n").split("\n")
        assert {len(row) for row in rows} == {width}


def test_spans_that_take_no_time_or_go_backwards_have_a_tick(span: MakeSpan, server: MakeSpan) -> None:
    assert "▏" in text_of(server("instant", 5, 5))
    assert "▏" in text_of(server("fn", 0, 10), span("backwards", 8, 3, parent="fn"))


def test_names_cannot_steer_the_terminal(server: MakeSpan) -> None:
    told = {"coldspan.overhead.\x1b[31m": 0.1}
    shown = text_of(server("a\x1b[31m\nb", 0, 10, error=True, error__type="\x07bell", **told))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert len(shown.splitlines()) == 3


def test_errors_are_red_where_colours_are_to_be_had(span: MakeSpan, server: MakeSpan) -> None:
    (trace,) = traces_of(
        [server("fn", 0, 10, error=True), span("handler", 2, 3, parent="fn", coldspan__phase="handler")]
    )
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    with console.capture() as captured:
        console.print(waterfall(trace, 80), soft_wrap=True)
    failed, handler = captured.get().splitlines()[1:3]
    assert "\x1b[31m" in failed
    assert "\x1b[31m" not in handler
