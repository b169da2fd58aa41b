"""Our own log: JSON lines on stderr through structlog, whose import takes longer than a cold start may: it is loaded
with the first line that has to be said."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "none": 100}


class Log:
    """Says each event with its facts; `level` is OTEL_LOG_LEVEL."""

    def __init__(self, level: str) -> None:
        self._level = LEVELS[level]
        self._logger: Any = None

    def debug(self, event: str, **facts: object) -> None:
        self._say("debug", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._say("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._say("error", event, facts)

    def _say(self, level: str, event: str, facts: dict[str, object]) -> None:
        if LEVELS[level] < self._level:
            return
        if self._logger is None:
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
            self._logger = structlog.get_logger().bind(logger="coldspan")
        getattr(self._logger, level)(event, **facts)
