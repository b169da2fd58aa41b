"""The root logger as the managed runtime sets it up, before the function's module runs; and where its lines go.

AWS_LAMBDA_LOG_FORMAT is JSON or text, AWS_LAMBDA_LOG_LEVEL a level's name. With _LAMBDA_TELEMETRY_LOG_FD the lines go
to that descriptor, framed, so that one entry may have several lines; else to stdout.
"""

import logging
import os
import sys
import time

from coldspan_wrapper.runtime.encoding import to_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO, TextIO

TIME = "%Y-%m-%dT%H:%M:%SZ"
TEXT_LINE = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
TEXT_TIME = "%Y-%m-%dT%H:%M:%S"

# What a record has beside what its writer put there as `extra`.
RESERVED = {
    "name",
    "msg",
    "args",
    "levelname",
    "levelno",
    "pathname",
    "filename",
    "module",
    "exc_info",
    "exc_text",
    "stack_info",
    "lineno",
    "funcName",
    "created",
    "msecs",
    "relativeCreated",
    "thread",
    "threadName",
    "processName",
    "process",
    "aws_request_id",
    "tenant_id",
    "_frame_type",
}

TEXT_FRAME, JSON_FRAME = 0xA55A0003, 0xA55A0002
"""A frame's type is one of these, and the level above it: 4 for each step from 10 (DEBUG) on, at 8 more."""


def frame_type(base: int, level: int) -> bytes:
    level = min(level, logging.CRITICAL) // 10
    return (base + (4 + 4 * level if level > 0 else 0)).to_bytes(4, "big")


class Current:
    """The invocation that lines belong to."""

    request_id: "str | None" = None
    tenant_id: "str | None" = None


class Unbuffered:
    """A stream that is flushed with each write: what a function printed must be out when its environment freezes."""

    def __init__(self, stream: "TextIO") -> None:
        self.stream = stream

    def __enter__(self) -> "Unbuffered":
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def __getattr__(self, name: str) -> "Any":
        return getattr(self.stream, name)

    def write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def writelines(self, lines: "list[str]") -> None:
        self.stream.writelines(lines)
        self.stream.flush()


class StandardLogSink:
    def log(self, msg: str, frame_type: "bytes | None" = None) -> None:
        sys.stdout.write(msg)

    def log_error(self, lines: "list[str]", *, is_json: bool) -> None:
        sys.stdout.write("\r".join(lines) + "\n")  # one entry: a line feed would begin another


class FramedTelemetryLogSink:
    """frame   u32 type · u32 length · u64 µs since the Unix epoch · text, big-endian"""

    def __init__(self, descriptor: int) -> None:
        self.file: BinaryIO = os.fdopen(descriptor, "wb", 0)

    def log(self, msg: str, frame_type: "bytes | None" = None) -> None:
        text = msg.encode()
        head = (frame_type or TEXT_FRAME.to_bytes(4, "big")) + len(text).to_bytes(4, "big")
        self.file.write(head + (time.time_ns() // 1000).to_bytes(8, "big") + text)

    def log_error(self, lines: "list[str]", *, is_json: bool) -> None:
        self.log("\n".join(lines), frame_type(JSON_FRAME if is_json else TEXT_FRAME, logging.ERROR))


Sink = StandardLogSink | FramedTelemetryLogSink


class LambdaLoggerHandler(logging.Handler):
    def __init__(self, log_sink: Sink) -> None:
        super().__init__()
        self.log_sink = log_sink

    def emit(self, record: logging.LogRecord) -> None:
        self.log_sink.log(self.format(record))


class LambdaLoggerHandlerWithFrameType(LambdaLoggerHandler):
    """Where a level or JSON is asked for: the platform then filters by the frame's level."""

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        self.log_sink.log(text, getattr(record, "_frame_type", None) or frame_type(TEXT_FRAME, record.levelno))


class LambdaLoggerFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = Current.request_id or ""
        record.tenant_id = Current.tenant_id
        return True


class JsonFormatter(logging.Formatter):
    def __init__(self) -> None:
        import json

        super().__init__(datefmt=TIME)
        # What JSON cannot carry is written as its text: a line is not lost for it.
        self._encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    def format(self, record: logging.LogRecord) -> str:
        record.levelno = min(logging.CRITICAL, max(0, record.levelno)) // 10 * 10
        record.levelname = logging.getLevelName(record.levelno)
        record._frame_type = frame_type(JSON_FRAME, record.levelno)
        is_plain = isinstance(record.msg, dict) and not record.args
        line = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.msg if is_plain else record.getMessage(),
            "logger": record.name,
            **_exception(record),
            "requestId": getattr(record, "aws_request_id", None),
            "location": f"{record.pathname}:{record.funcName}:{record.lineno}" if record.exc_info else None,
        }
        tenant_id = getattr(record, "tenant_id", None)
        if tenant_id is not None:
            line["tenantId"] = tenant_id
        extra = [(name, value) for name, value in vars(record).items() if name not in RESERVED and name not in line]
        line.update(extra)
        return self._encode({name: value for name, value in line.items() if value is not None}) + "\n"


def _exception(record: logging.LogRecord) -> "dict[str, object]":
    if not record.exc_info:
        return {"stackTrace": None, "errorType": None, "errorMessage": None}
    import traceback

    of_type, error, trace = record.exc_info
    return {
        "stackTrace": traceback.format_tb(trace),
        "errorType": of_type.__name__ if of_type is not None else None,
        "errorMessage": str(error),
    }


class Log:
    """The runtime's own entries: what went wrong. `sink` is where the function's go too."""

    def __init__(self, sink: Sink, *, is_json: bool) -> None:
        self._sink = sink
        self._is_json = is_json

    def error(self, report: "dict[str, Any]") -> None:
        """`report` is errors.Error.report()."""
        if self._is_json:
            now = time.strftime(TIME, time.gmtime())
            lines = [to_json({"timestamp": now, "level": "ERROR", **report})]
        else:
            lines = _error_lines(report)
        self._sink.log_error(lines, is_json=self._is_json)


def set_up(environ: "Mapping[str, str]") -> Log:
    """Gives stdout, stderr and the root logger their form."""
    sys.stdout, sys.stderr = Unbuffered(sys.stdout), Unbuffered(sys.stderr)
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    sink = StandardLogSink() if descriptor is None else FramedTelemetryLogSink(int(descriptor))
    is_json = environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    level = environ.get("AWS_LAMBDA_LOG_LEVEL", "")
    level = "DEBUG" if level == "TRACE" else level.upper()
    logging.Formatter.converter = time.gmtime
    handler = (LambdaLoggerHandlerWithFrameType if is_json or level else LambdaLoggerHandler)(sink)
    handler.setFormatter(JsonFormatter() if is_json else logging.Formatter(TEXT_LINE, TEXT_TIME))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    if level in logging._nameToLevel:
        root.setLevel(level)
    root.addHandler(handler)
    return Log(sink, is_json=is_json)


def _error_lines(report: "dict[str, Any]") -> "list[str]":
    """`[ERROR] type: message` and the traceback, indented with no-break spaces, which log viewers keep."""
    of_type, message = report["errorType"], report["errorMessage"]
    title = "[ERROR]" + (f" {of_type}" if of_type else "")
    if message:
        title += f"{':' if of_type else ''} {message}"
    lines = [title, "Traceback (most recent call last):"]
    for entry in report["stackTrace"]:
        for line in entry.splitlines() if entry else [""]:
            text = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(text)) + text)
    return lines
