"""The golden texts are what a person sees: change them by hand, and look at them."""

import io
import textwrap
from collections.abc import Callable

from rich.console import Console

from coldspan_report.traces import Span, traces_of
from coldspan_report.waterfall import waterfall

MakeSpan = Callable[..., Span]

GOLDEN_COLD = """
"""


def lines_of(spans: list[Span], width: int = 80) -> list[str]:
    (trace,) = traces_of(spans)
    return waterfall(trace, width).plain.split("\n")


def golden(text: str) -> list[str]:
    return textwrap.dedent(text).removeprefix("\n").split("\n")


def test_cold(span: MakeSpan, server: MakeSpan) -> None:
    spans = [
        server(
            "orders",
            0,
            412.31,
            faas__coldstart=True,
            coldspan__init__type="on-demand",
            coldspan__overhead__extension=0.0031,
            coldspan__overhead__wrapper=0.0119,
        ),
        span("init", 0, 340, parent="orders", coldspan__phase="init"),
        span("extension init", 1, 20, parent="init"),
        span("load handler", 40, 339.5, parent="init"),
        span("next", 341, 341.5, parent="orders", coldspan__phase="next"),
        span("handler", 342, 400, parent="orders", coldspan__phase="handler"),
        span("response", 401, 412.3, parent="orders", coldspan__phase="response"),
        span("after response", 412.31, 600, parent="orders"),
    ]
    print("\n".join(lines_of(spans)))


def test_failed(span, server):
    spans = [
        server("fn", 0, 3000, error=True, error__type="timeout", faas__coldstart=False, coldspan__idle__duration=1.2,
            coldspan__overhead__export=0.004, coldspan__dropped__records=3, coldspan__dropped__spans=0, coldspan__truncated=True),
        span("a name that is much too long for its column", 0, 1500, parent="fn"),
        span("handler", 1500, 3000, parent="fn", error=True),
    ]
    print("\n".join(lines_of(spans)))
    print("\n".join(lines_of([span("init", 0, 10_000, error=True, error__type="Runtime.ImportModuleError", coldspan__init__type="provisioned-concurrency")])))
