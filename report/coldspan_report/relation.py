"""The relation that `coldspan report` asks: one row for each span, the same columns whatever engine holds
them. Pure: expressions of SQL, by engine. docs/report.md has the table that `as_markdown` makes.

DuckDB reads OTLP/JSON, where an attribute has its value in one of four fields. ClickHouse has the `otel_traces` table
as the Collector's exporter creates it (contrib, exporter/clickhouseexporter), where it is a string in a map.
An attribute that a span does not have is NULL in both, of the resource's texts the empty one.
"""

from dataclasses import dataclass

TEXT, INT, DOUBLE, BOOL = "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN"

SPAN, RESOURCE = "span", "resource"


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column that is an attribute of the span, or of its resource; of several keys the first that is there."""

    column: str
    type: str
    keys: tuple[str, ...]
    meaning: str
    of: str = SPAN


@dataclass(frozen=True, slots=True)
class Derived:
    """A column that each engine has an expression of its own for."""

    column: str
    type: str
    duckdb: str
    """Over `s`, the span as OTLP/JSON has it."""
    clickhouse: str
    meaning: str


KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
"""As the exporter writes them, by OTLP's number; until 0.108 it wrote SPAN_KIND_SERVER."""

_CLICKHOUSE_KIND = "transform(lower(replaceOne(toString(SpanKind), 'SPAN_KIND_', '')), [{}], [{}], 0)".format(
    ", ".join(f"'{kind.lower()}'" for kind in KINDS), ", ".join(map(str, range(len(KINDS))))
)
_DUCKDB_KIND = "coalesce(try_cast(s.kind AS BIGINT), CASE s.kind {} ELSE 0 END)".format(
    " ".join(f"WHEN 'SPAN_KIND_{kind.upper()}' THEN {number}" for number, kind in enumerate(KINDS))
)

VALUE_FIELDS = ("stringValue", "intValue", "doubleValue", "boolValue")

# Of the events `module body`: (seconds, file, line) of the longest.
_BODY_KEYS = ("coldspan.module_body.duration", "code.file.path", "code.line.number")
_CLICKHOUSE_BODIES = "arrayFilter((a, n) -> n = 'module body', Events.Attributes, Events.Name)"


def _duckdb_body(number: int) -> str:
    seconds, file, line = (_duckdb_value("e.attributes", key) for key in _BODY_KEYS)
    triple = f"{{'f0': try_cast({seconds} AS DOUBLE), 'f1': {file}, 'f2': {line}}}"
    bodies = "list_filter(s.events, lambda e: e.name = 'module body')"
    longest = f"list_max(list_transform({bodies}, lambda e: {triple}))"
    return f"CASE WHEN s.events IS NULL THEN NULL ELSE {longest}.f{number} END"


def _duckdb_value(attributes: str, key: str) -> str:
    found = f"list_filter({attributes}, lambda a: a.key = '{key}')[1].value"
    return f"coalesce({', '.join(f'{found}.{field}' for field in VALUE_FIELDS)})"


def _clickhouse_body(number: int) -> str:
    seconds, file, line = (f"a['{key}']" for key in _BODY_KEYS)
    triples = f"arrayMap(a -> (ifNull(toFloat64OrNull({seconds}), 0.), {file}, {line}), {_CLICKHOUSE_BODIES})"
    return f"arraySort(e -> -e.1, {triples})[1].{number + 1}"


DERIVED = (
    Derived("trace_id", TEXT, "s.traceId", "TraceId", "Hex."),
    Derived("span_id", TEXT, "s.spanId", "SpanId", "Hex."),
    Derived("parent_span_id", TEXT, "coalesce(s.parentSpanId, '')", "ParentSpanId", "Hex; empty where there is none."),
    Derived("name", TEXT, "s.name", "toString(SpanName)", "The span's name."),
    Derived("kind", INT, _DUCKDB_KIND, _CLICKHOUSE_KIND, "OTLP's number: 1 internal, 2 server, 5 consumer."),
    Derived(
        "start_ns",
        INT,
        "try_cast(s.startTimeUnixNano AS BIGINT)",
        "toUnixTimestamp64Nano(Timestamp)",
        "When it began, ns since the Unix epoch.",
    ),
    Derived(
        "duration_ns",
        INT,
        "try_cast(s.endTimeUnixNano AS BIGINT) - try_cast(s.startTimeUnixNano AS BIGINT)",
        "toInt64(Duration)",
        "How long it took, ns.",
    ),
    Derived(
        "error",
        BOOL,
        "coalesce(s.status.code IN ('2', 'STATUS_CODE_ERROR'), false)",
        "lower(toString(StatusCode)) IN ('error', 'status_code_error')",
        "Its status is Error.",
    ),
    Derived(
        "body_s",
        DOUBLE,
        _duckdb_body(0),
        f"if(empty({_CLICKHOUSE_BODIES}), NULL, {_clickhouse_body(0)})",
        "Sampled: the longest that a line of the module's body ran, s.",
    ),
    Derived("body_file", TEXT, _duckdb_body(1), f"nullIf({_clickhouse_body(1)}, '')", "The file of that line."),
    Derived(
        "body_line",
        INT,
        f"try_cast({_duckdb_body(2)} AS BIGINT)",
        f"toInt64OrNull({_clickhouse_body(2)})",
        "Its number.",
    ),
)

ATTRIBUTES = (
    Attribute("service", TEXT, ("service.name", "faas.name"), "The service, by default the function.", RESOURCE),
    Attribute("version", TEXT, ("faas.version",), "The function's version.", RESOURCE),
    Attribute(
        "instance",
        TEXT,
        ("faas.instance", "host.id", "service.instance.id"),
        "The execution environment.",
        RESOURCE,
    ),
    Attribute("memory_bytes", INT, ("faas.max_memory",), "The memory that the function has.", RESOURCE),
    Attribute("coldstart", BOOL, ("faas.coldstart",), "On a request's SERVER span: an init or restore delayed it."),
    Attribute("error_type", TEXT, ("error.type",), "The exception's class, or the platform's error type."),
    Attribute("phase", TEXT, ("coldspan.phase",), "init, restore, next, handler or response."),
    Attribute("init_type", TEXT, ("coldspan.init.type",), "In Lambda's word, such as on-demand."),
    Attribute("init_phase", TEXT, ("coldspan.init.phase",), "invoke where init was repeated inside the invocation."),
    Attribute("proactive", BOOL, ("coldspan.init.proactive",), "No request had asked for this init."),
    Attribute("init_s", DOUBLE, ("coldspan.init.duration",), "Init as Lambda measured it, s."),
    Attribute("sequence", INT, ("coldspan.invocation.sequence",), "Which invocation of its environment it is, from 1."),
    Attribute("truncated", BOOL, ("coldspan.truncated",), "The process ended before the span did."),
    Attribute("module", TEXT, ("coldspan.import.module",), "What was imported."),
    Attribute("source", TEXT, ("coldspan.import.source",), "function, layer, runtime or stdlib."),
    Attribute("imports", INT, ("coldspan.import.count",), "How many imports a sum stands for."),
    Attribute("self_s", DOUBLE, ("coldspan.self_time",), "What it took itself, without the imports below it, s."),
    Attribute("compile_s", DOUBLE, ("coldspan.import.compile.duration",), "Compiling, where bytecode was missing, s."),
    Attribute("import_error", TEXT, ("coldspan.import.error",), "What the import raised, also where it was caught."),
    Attribute("code_file", TEXT, ("code.file.path",), "The file that has the import statement."),
    Attribute("code_line", INT, ("code.line.number",), "The line of it."),
    Attribute("billed_s", DOUBLE, ("coldspan.billed_duration",), "On `after response`: what Lambda bills, s."),
    Attribute("max_memory_used_bytes", INT, ("coldspan.memory.max_used",), "On `after response`: the most in use."),
    Attribute("overhead_extension_s", DOUBLE, ("coldspan.overhead.extension",), "coldspan's own cost at init, s."),
    Attribute("overhead_wrapper_s", DOUBLE, ("coldspan.overhead.wrapper",), "The same in the runtime's process, s."),
    Attribute("overhead_export_s", DOUBLE, ("coldspan.overhead.export",), "How long the previous export took, s."),
    Attribute("dropped_records", INT, ("coldspan.dropped.records",), "Records lost since the last report."),
    Attribute("dropped_spans", INT, ("coldspan.dropped.spans",), "Spans not delivered since the last report."),
)

COLUMNS = tuple(column.column for column in (*DERIVED, *ATTRIBUTES))

_VALUE = f"STRUCT({', '.join(f'{field} VARCHAR' for field in VALUE_FIELDS)})"
_ATTRIBUTES = f"STRUCT(key VARCHAR, value {_VALUE})[]"
OTLP_JSON = (
    f"STRUCT(resource STRUCT(attributes {_ATTRIBUTES}), scopeSpans STRUCT(spans STRUCT("
    "traceId VARCHAR, spanId VARCHAR, parentSpanId VARCHAR, name VARCHAR, kind VARCHAR, startTimeUnixNano VARCHAR, "
    f"endTimeUnixNano VARCHAR, status STRUCT(code VARCHAR), attributes {_ATTRIBUTES}, "
    f"events STRUCT(name VARCHAR, attributes {_ATTRIBUTES})[])[])[])[]"
)
"""DuckDB's type of `resourceSpans`. Fields that OTLP adds are passed over, as it asks."""


def duckdb_select(lines: str) -> str:
    """The relation, of a relation with a column resourceSpans. A line that is no export gives a row of NULLs."""
    resources = [column for column in ATTRIBUTES if column.of == RESOURCE]
    spans = [column for column in ATTRIBUTES if column.of == SPAN]
    columns = {column.column: column.duckdb for column in DERIVED}
    columns |= {column.column: column.column for column in resources}
    columns |= {column.column: _duckdb_attribute("s", column) for column in spans}
    picked = ", ".join(f"{columns[name]} AS {name}" for name in COLUMNS)
    of_resource = ", ".join(f"{_duckdb_attribute('r', column)} AS {column.column}" for column in resources)
    return (
        f"WITH r AS (SELECT unnest(coalesce(resourceSpans, [NULL])) AS r FROM {lines}), "
        f"keyed AS (SELECT {_lists('r.resource.attributes', 'r')}, r.scopeSpans AS scopes, r FROM r), "
        f"scoped AS (SELECT {of_resource}, "
        "unnest(coalesce(scopes, if(r IS NULL, [NULL], []))) AS scope FROM keyed), "
        "spanned AS (SELECT * EXCLUDE (scope), unnest(coalesce(scope.spans, if(scope IS NULL, [NULL], []))) AS s "
        "FROM scoped), "
        f"listed AS (SELECT *, {_lists('s.attributes', 's')} FROM spanned) "
        f"SELECT {picked} FROM listed"
    )


def _lists(attributes: str, prefix: str) -> str:
    """Keys and values as two lists: looking 28 attributes up in them takes a third less than in a map."""
    values = ", ".join(f"a.value.{field}" for field in VALUE_FIELDS)
    return (
        f"list_transform({attributes}, lambda a: a.key) AS {prefix}_keys, "
        f"list_transform({attributes}, lambda a: coalesce({values})) AS {prefix}_values"
    )


def _duckdb_attribute(prefix: str, column: Attribute) -> str:
    found = [f"{prefix}_values[list_position({prefix}_keys, '{key}')]" for key in column.keys]
    text = f"coalesce({', '.join([*found, *_default(column)])})"
    return text if column.type == TEXT else f"try_cast({text} AS {column.type})"


def clickhouse_select(table: str, since_ns: int, until_ns: int) -> str:
    """The relation, of the exporter's table between two instants, the second of them excluded."""
    columns = {column.column: column.clickhouse for column in DERIVED}
    columns |= {column.column: _clickhouse_attribute(column) for column in ATTRIBUTES}
    picked = ", ".join(f"{columns[name]} AS {name}" for name in COLUMNS)
    instants = [f"fromUnixTimestamp64Nano(toInt64({instant}))" for instant in (since_ns, until_ns)]
    return f"SELECT {picked} FROM {table} WHERE Timestamp >= {instants[0]} AND Timestamp < {instants[1]}"


def _default(column: Attribute) -> list[str]:
    """What is joined and grouped by is never NULL."""
    return ["''"] if column.of == RESOURCE and column.type == TEXT else []


_CLICKHOUSE_CASTS = {
    TEXT: "{}",
    INT: "toInt64OrNull({})",
    DOUBLE: "toFloat64OrNull({})",
    BOOL: "multiIf({0} = 'true', true, {0} = 'false', false, NULL)",
}


def _clickhouse_attribute(column: Attribute) -> str:
    held = "ResourceAttributes" if column.of == RESOURCE else "SpanAttributes"
    found = [f"nullIf({held}['{key}'], '')" for key in column.keys]
    text = f"coalesce({', '.join([*found, *_default(column)])})"
    return _CLICKHOUSE_CASTS[column.type].format(text)


def as_markdown() -> str:
    """The table of docs/report.md."""
    rows = ["| column | type | from | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{c.column}` | {c.type} | the span | {c.meaning} |" for c in DERIVED if not c.column.startswith("body")
    ]
    rows += [
        f"| `{c.column}` | {c.type} | event `module body` | {c.meaning} |"
        for c in DERIVED
        if c.column.startswith("body")
    ]
    rows += [
        f"| `{c.column}` | {c.type} | {' or '.join(f'`{key}`' for key in c.keys)} | {c.meaning} |" for c in ATTRIBUTES
    ]
    return "\n".join(rows) + "\n"
