"""Our own log: JSON lines on stderr. Through structlog where the sdk lane is loaded anyway; its import takes 64 to 130
ms, so the lean lane writes the same lines itself."""

import posix as os
import sys
import time

from coldspan_extension import json1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "none": 100}


class Log:
    """Says each event with its facts; `level` is OTEL_LOG_LEVEL."""

    def __init__(self, level: str, *, through_structlog: bool = False) -> None:
        self._level = LEVELS[level]
        self._write: Callable[[str, str, dict[str, object]], None] | None = None if through_structlog else _write_line

    def hurry(self) -> None:
        """There is no time left to load structlog: if it is not there by now, the lines are written as they are."""
        self._write = self._write or _write_line

    def debug(self, event: str, **facts: object) -> None:
        self._say("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        self._say("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._say("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._say("error", event, facts)

    def _say(self, level: str, event: str, facts: dict[str, object]) -> None:
        if LEVELS[level] < self._level:
            return
        if self._write is None:  # with the first line that has to be said
            self._write = _structlog_writer()
        self._write(level, event, facts)


def _write_line(level: str, event: str, facts: dict[str, object]) -> None:
    now_s = time.time()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s)) + f".{int(now_s % 1 * 1e6):06}Z"
    line = json1.dumps({"logger": "coldspan", **facts, "event": event, "level": level, "timestamp": moment})
    try:
        os.write(2, line.encode() + b"\n")
    except OSError:
        pass  # stderr is closed: there is nowhere to say so


def _structlog_writer() -> "Callable[[str, str, dict[str, object]], None]":
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(default=str),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logger = structlog.get_logger().bind(logger="coldspan")

    def write(level: str, event: str, facts: dict[str, object]) -> None:
        getattr(logger, level)(event, **facts)

    return write
