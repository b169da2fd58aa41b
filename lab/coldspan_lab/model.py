"""What goes into the lab and comes out of it, as plain data."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from coldspan_lab.errors import FunctionInvalid

ACCOUNT_ID = "012345678912"
VERSION = "$LATEST"
MEMORY_MB = range(128, 10241)
TIMEOUT_S = (0.001, 900.0)

TelemetryEvent = dict[str, Any]
"""{"time": ..., "type": ..., "record": ...}: an event of the Telemetry API."""


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function: its code and its settings."""

    path: Path
    """The folder with the code."""
    handler: str = "app.handler"
    name: str = "function"
    python: Path = Path(sys.executable)
    """The interpreter that runs awslambdaric, and has it installed."""
    memory_mb: int = 1769
    """What the function is told: 128 to 10240. 1769 MB is one vCPU."""
    limit_resources: bool = False
    """Holds the function to its memory and CPU share by cgroup, where that is permitted."""
    timeout_s: float = 30.0
    environment: Mapping[str, str] = field(default_factory=dict)
    log_format: str = "Text"
    """Text or JSON."""

    def check(self) -> None:
        """Raises FunctionInvalid for what cannot be run."""
        if not self.path.is_dir():
            raise FunctionInvalid(f"{self.path}: expected the folder that holds the function's code")
        if self.memory_mb not in MEMORY_MB:
            raise FunctionInvalid(f"memory {self.memory_mb} MB: expected {MEMORY_MB.start} to {MEMORY_MB.stop - 1}")
        low, high = TIMEOUT_S
        if not low <= self.timeout_s <= high:
            raise FunctionInvalid(f"timeout {self.timeout_s} s: expected {low} to {high:.0f}")
        if self.log_format not in ("Text", "JSON"):
            raise FunctionInvalid(f"log format {self.log_format!r}: expected Text or JSON")

    @property
    def region(self) -> str:
        return self.environment.get("AWS_REGION", "us-east-1")

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{ACCOUNT_ID}:function:{self.name}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller of an invocation gets."""

    status: int
    payload: bytes
    function_error: str | None
    """"Unhandled", or None where the function returned."""
    request_id: str
    trace_header: str | None
    log_tail: bytes = b""
    """The last 4 KB of the invocation's log, where it was asked for."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log. `source`: function, extension, platform (Lambda's own lines) or lab."""

    source: str
    text: str
    environment_id: str


class Moment(str, Enum):
    """What the lab saw, for whoever measures."""

    EXTENSION_SPAWNED = "extension spawned"
    EXTENSION_REGISTERED = "extension registered"
    EXTENSION_FIRST_NEXT = "extension first next"
    RUNTIME_SPAWNED = "runtime spawned"
    RUNTIME_FIRST_NEXT = "runtime first next"
    INIT_DONE = "init done"
    NEXT_REPLIED = "next replied"
    """The event's last byte was written to the runtime."""
    RESPONSE_RECEIVED = "response received"
    """The response's body was read."""
    RESPONSE_ACCEPTED = "response accepted"
    """The 202 was written."""
    RUNTIME_READY = "runtime ready"
    EXTENSIONS_READY = "extensions ready"
    FROZEN = "frozen"
    THAWED = "thawed"
    SHUTDOWN_BEGUN = "shutdown begun"
    SHUTDOWN_DONE = "shutdown done"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, by the lab's own clock."""

    time_unix_ns: int
    environment_id: str
    what: Moment
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Observers:
    """Where the lab says what happens. Called on its event loop."""

    log: Callable[[LogLine], None]
    event: Callable[[TelemetryEvent], None]
    mark: Callable[[Mark], None]
