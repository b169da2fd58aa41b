"""Every attribute of our own, with its type, unit and meaning. docs/attributes.md is made from this table, and a test
holds what the spans carry against it."""

PREFIX = "coldspan."

PHASE = "coldspan.phase"
SELF_TIME = "coldspan.self_time"
TRUNCATED = "coldspan.truncated"
INIT_TYPE = "coldspan.init.type"
INIT_PHASE = "coldspan.init.phase"
INIT_PROACTIVE = "coldspan.init.proactive"
INIT_DURATION = "coldspan.init.duration"
INIT_TRACE_ID = "coldspan.init.trace_id"
LINK_TYPE = "coldspan.link.type"
SEQUENCE = "coldspan.invocation.sequence"
IDLE = "coldspan.idle.duration"
OVERHEAD_EXTENSION = "coldspan.overhead.extension"
OVERHEAD_WRAPPER = "coldspan.overhead.wrapper"
OVERHEAD_EXPORT = "coldspan.overhead.export"
DROPPED_RECORDS = "coldspan.dropped.records"
DROPPED_SPANS = "coldspan.dropped.spans"
IMPORT_MODULE = "coldspan.import.module"
IMPORT_SOURCE = "coldspan.import.source"
IMPORT_COUNT = "coldspan.import.count"
IMPORT_ERROR = "coldspan.import.error"
IMPORT_ERRORS = "coldspan.import.errors"
IMPORT_FIND = "coldspan.import.find.duration"
IMPORT_COMPILED = "coldspan.import.compiled"
IMPORT_COMPILE = "coldspan.import.compile.duration"
MODULE_BODY = "coldspan.module_body.duration"
MODULE_BODY_SHARE = "coldspan.module_body.share"
SAMPLED = "coldspan.sampled"
ADVICE = "coldspan.advice"
RESPONSE_SIZE = "coldspan.response.size"
RESPONSE_TTFB = "coldspan.response.ttfb"
PLATFORM_DURATION = "coldspan.platform.duration"
BILLED_DURATION = "coldspan.billed_duration"
MAX_MEMORY_USED = "coldspan.memory.max_used"
XRAY_TRACE_ID = "coldspan.xray.trace_id"

TEXT, TEXTS, INT, DOUBLE, BOOL = "string", "string[]", "int", "double", "boolean"

REGISTRY: "dict[str, tuple[str, str, str]]" = {
    # name: (type, unit, meaning)
    PHASE: (TEXT, "", "The phase that this span is: init, restore, next, handler or response."),
    SELF_TIME: (DOUBLE, "s", "What it took itself, without the imports below it."),
    TRUNCATED: (BOOL, "", "The process ended before the span did: it ends when that was noticed."),
    INIT_TYPE: (TEXT, "", "How the environment was initialised, in Lambda's word, such as on-demand or snap-start."),
    INIT_PHASE: (TEXT, "", "init, or invoke for an init repeated inside an invocation after a reset."),
    INIT_PROACTIVE: (BOOL, "", "The environment was initialised before any request asked for it."),
    INIT_DURATION: (DOUBLE, "s", "Init as Lambda measured it (platform.initReport), where it came in time."),
    INIT_TRACE_ID: (TEXT, "", "The trace of the init that this request did not wait for; the span links to it."),
    LINK_TYPE: (TEXT, "", "On a link: init, or restore, of the environment that served the request."),
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
    IMPORT_MODULE: (TEXT, "", "The module that was imported, by its full name."),
    IMPORT_SOURCE: (TEXT, "", "Whose module it is: function, layer, runtime or stdlib."),
    IMPORT_COUNT: (INT, "{import}", "How many imports: all below load handler, or those that a sum stands for."),
    IMPORT_ERROR: (TEXT, "", "The exception that the import raised, also where it was caught."),
    IMPORT_ERRORS: (TEXTS, "", "Those of a sum that raised, as `module: exception`, the first ten."),
    IMPORT_FIND: (DOUBLE, "s", "Until the module was found and created; the rest executed it."),
    IMPORT_COMPILED: (BOOL, "", "There was no valid bytecode: the source was compiled."),
    IMPORT_COMPILE: (DOUBLE, "s", "How long compiling took; on load handler, of all modules."),
    MODULE_BODY: (DOUBLE, "s", "Sampled: how long about this line of a module's body ran, beside importing."),
    MODULE_BODY_SHARE: (DOUBLE, "1", "The same as a share of the whole load."),
    SAMPLED: (BOOL, "", "What it stands beside was looked at every 15 ms, not measured."),
    ADVICE: (TEXT, "", "In words, what to change."),
    RESPONSE_SIZE: (INT, "By", "The response's body, or the error's, as it was posted."),
    RESPONSE_TTFB: (
        DOUBLE,
        "s",
        "From the span's begin, so with an init in it, to a streamed response's first byte.",
    ),
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
