"""The document around the fragments: style, scripts, and the policy that keeps the page off the network."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from coldspan_report import words

LINES = "\n\t"
"""What tracebacks need, of what is not printable."""


def document(title: str, body: Sequence[Markup], needs_plotly: bool = False) -> str:
    """The whole file. plotly.js, which is 4.7 MB, is in it only where it is needed."""
    scripts = [_asset("page.js")]
    if needs_plotly:
        scripts = [_plotly_js(), _asset("plots.js"), *scripts]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return (
        _environment()
        .get_template("document.html")
        .render(
            title=title,
            body=body,
            style=_asset("page.css"),
            scripts=scripts,
            script_hashes=hashes,
        )
    )


def fragment(template: str, **values: Any) -> Markup:
    """What the template makes of the values; those are escaped."""
    return Markup(_environment().get_template(template).render(values))  # noqa: S704  this is what escapes


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("coldspan_report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: words.printable(value, LINES) if type(value) is str else value,
    )
    environment.filters.update(ms=_ms, percent=_percent, value=_value)
    return environment


def _ms(ns: float) -> str:
    return f"{ns / words.MS:,.2f} ms" if ns < 1000 * words.MS else f"{ns / words.MS:,.0f} ms"


def _percent(share: float) -> str:
    """For CSS: no exponent, no locale."""
    return f"{share * 100:.4f}%"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)


def _asset(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    source, _, _ = loader.get_source(_environment(), name)
    return source


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs  # not at the top: pages without plots are made without plotly

    return str(get_plotlyjs())
