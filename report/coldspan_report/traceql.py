"""What `coldspan report` asks Tempo, in TraceQL. Pure.

Quantiles are of `span:duration`: Tempo counts it in powers of two and interpolates between them, so that they are
near, not exact. An invocation's sequence would be a label for each: first invocations are asked for on their own.
"""

import json

from coldspan_report.filters import Filter

REQUEST = "span:kind = server && span.faas.coldstart != nil"
COLD = "span:kind = server && span.faas.coldstart = true"
WARM = "span:kind = server && span.faas.coldstart = false"
FIRST = f"{REQUEST} && (span.faas.coldstart = true || span.coldspan.invocation.sequence = 1)"
AHEAD = "trace:rootName =~ `init|restore` && span.coldspan.phase =~ `init|restore`"
INIT = "span:name = `init` && span:kind = internal && span.coldspan.init.type = `on-demand`"

KINDS = {"cold": COLD, "warm": WARM, "ahead": AHEAD}
"""Of traces that a sample has; ahead are those of an init or restore that no request waited for."""

SERVICE, VERSION, COLDSTART = "resource.service.name", "resource.faas.version", "span.faas.coldstart"
TYPE, PHASE, PROACTIVE = "span.coldspan.init.type", "span.coldspan.init.phase", "span.coldspan.init.proactive"
ERROR_TYPE, MEMORY = "span.error.type", "resource.faas.max_memory"
QUANTILE = "p"
"""The label that quantiles are told apart by."""

INIT_S, BILLED_S = "span.coldspan.init.duration", "span.coldspan.billed_duration"
LOST = {"records": "span.coldspan.dropped.records", "spans": "span.coldspan.dropped.spans"}
FAILED = {
    "request": f"{REQUEST} && span:status = error",
    "init": "trace:rootName = `init` && span:name = `init` && span:status = error",
}


def spans(filters: Filter, condition: str) -> str:
    """Those of the service and version, without regard to time."""
    parts = [] if filters.service is None else [f"{SERVICE} = {_quoted(filters.service)}"]
    parts += [] if filters.version is None else [f"{VERSION} = {_quoted(filters.version)}"]
    return f"{{ {' && '.join([*parts, condition])} }}"


def count(spanset: str, *by: str) -> str:
    return f"{spanset} | count_over_time(){_by(by)}"


def total(spanset: str, attribute: str, *by: str) -> str:
    return f"{spanset} | sum_over_time({attribute}){_by(by)}"


def quantiles(spanset: str, *by: str, of: tuple[float, ...]) -> str:
    """In seconds."""
    return f"{spanset} | quantile_over_time(span:duration, {', '.join(map(str, of))}){_by(by)}"


def longest(spanset: str, *by: str) -> str:
    """In seconds."""
    return f"{spanset} | max_over_time(span:duration){_by(by)}"


def with_error(condition: str, error_type: str | None) -> str:
    return f"{condition} && {ERROR_TYPE} = {'nil' if error_type is None else _quoted(error_type)}"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _quoted(text: str) -> str:
    """TraceQL's texts are Go's, and what JSON escapes Go reads."""
    return json.dumps(text, ensure_ascii=False)
