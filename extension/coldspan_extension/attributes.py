"""Every attribute of our own, with its type, unit and meaning. docs/attributes.md is made from this table, and a test
holds what the spans carry against it."""

PREFIX = "coldspan."

PHASE = "coldspan.phase"
TRUNCATED = "coldspan.truncated"
INIT_TYPE = "coldspan.init.type"
INIT_PHASE = "coldspan.init.phase"
INIT_DURATION = "coldspan.init.duration"
SEQUENCE = "coldspan.invocation.sequence"
IDLE = "coldspan.idle.duration"
OVERHEAD_EXTENSION = "coldspan.overhead.extension"
OVERHEAD_WRAPPER = "coldspan.overhead.wrapper"
OVERHEAD_EXPORT = "coldspan.overhead.export"
DROPPED_RECORDS = "coldspan.dropped.records"
DROPPED_SPANS = "coldspan.dropped.spans"
RESPONSE_SIZE = "coldspan.response.size"
PLATFORM_DURATION = "coldspan.platform.duration"
BILLED_DURATION = "coldspan.billed_duration"
MAX_MEMORY_USED = "coldspan.memory.max_used"
XRAY_TRACE_ID = "coldspan.xray.trace_id"

TEXT, INT, DOUBLE, BOOL = "string", "int", "double", "boolean"

REGISTRY: "dict[str, tuple[str, str, str]]" = {
    # name: (type, unit, meaning)
    PHASE: (TEXT, "", "The phase that this span is: init, next, handler or response."),
    TRUNCATED: (BOOL, "", "The process ended before the span did: it ends when that was noticed."),
    INIT_TYPE: (TEXT, "", "How the environment was initialised, in Lambda's word, such as on-demand or snap-start."),
    INIT_PHASE: (TEXT, "", "init, or invoke for an init repeated inside an invocation after a reset."),
    INIT_DURATION: (DOUBLE, "s", "Init as Lambda measured it (platform.initReport), where it came in time."),
    SEQUENCE: (INT, "{invocation}", "Which invocation of this environment it is, from 1."),
    IDLE: (DOUBLE, "s", "From the runtime's request for this event until it was on its way; mostly frozen time."),
    OVERHEAD_EXTENSION: (
        DOUBLE,
        "s",
        "From our extension's process start to its registration; the runtime waits for it.",
    ),
    OVERHEAD_WRAPPER: (DOUBLE, "s", "What our wrapper took inside the runtime's process, up to this response."),
    OVERHEAD_EXPORT: (DOUBLE, "s", "How long the previous export took."),
    DROPPED_RECORDS: (INT, "{record}", "Records lost or unreadable since the last report."),
    DROPPED_SPANS: (INT, "{span}", "Spans that could not be delivered since the last report."),
    RESPONSE_SIZE: (INT, "By", "The response's body, or the error's, as it was posted."),
    PLATFORM_DURATION: (DOUBLE, "s", "The invocation's duration as Lambda measured it (platform.report)."),
    BILLED_DURATION: (DOUBLE, "s", "What Lambda bills for the invocation (platform.report)."),
    MAX_MEMORY_USED: (INT, "By", "The most memory the environment used (platform.report)."),
    XRAY_TRACE_ID: (TEXT, "", "The X-Ray trace id (Root) that the invocation came with; no parent is made of it."),
}


def as_markdown() -> str:
    """The table of docs/attributes.md."""
    rows = ["| attribute | type | unit | meaning |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {kind} | {unit} | {meaning} |" for name, (kind, unit, meaning) in REGISTRY.items()]
    return "\n".join(rows) + "\n"
