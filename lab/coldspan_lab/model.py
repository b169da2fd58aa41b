"""What goes into the lab and comes out of it, as plain data."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldspan_lab.errors import FunctionInvalid

if TYPE_CHECKING:  # the command reads this module without what only the lab's extra brings
    from coldspan_lab.response_stream import ResponseStream

ACCOUNT_ID = "012345678912"
VERSION = "$LATEST"
MEMORY_MB = range(128, 10241)
TIMEOUT_S = (0.001, 900.0)

ON_DEMAND_INIT_LIMIT_S = 10.0
AHEAD_INIT_LIMIT_S = 130.0
"""Where no request waits for init; or the function's timeout, if that is longer."""

TelemetryEvent = dict[str, Any]
"""{"time": ..., "type": ..., "record": ...}: an event of the Telemetry API."""


class InitType(str, Enum):
    """What makes Lambda initialise an environment."""

    ON_DEMAND = "on-demand"
    """A request that finds no environment free, and waits."""
    PROACTIVE = "proactive"
    """Lambda's own guess that one will come; it calls this on-demand, too."""
    PROVISIONED_CONCURRENCY = "provisioned-concurrency"
    SNAP_START = "snap-start"
    """A new version of the function: its initialised environment is the snapshot that requests restore."""

    @property
    def reported(self) -> str:
        """AWS_LAMBDA_INITIALIZATION_TYPE, and initializationType in telemetry."""
        return InitType.ON_DEMAND.value if self is InitType.PROACTIVE else self.value


INIT_GAP_S = {InitType.PROACTIVE: 1.5, InitType.PROVISIONED_CONCURRENCY: 0.1, InitType.SNAP_START: 0.1}
"""Minutes and more on Lambda. Nothing but its gap tells a proactive init from one on demand, hence the longer one."""


class RuntimeClient(str, Enum):
    """What runs the function's handler."""

    AWSLAMBDARIC = "awslambdaric"
    """Lambda's own, as in the managed runtimes; it publishes wheels for Linux only."""
    COLDSPAN = "coldspan"
    """The layer's coldspan-bootstrap; without a layer, the one that is installed."""


class InvokeMode(str, Enum):
    """How a function's URL answers."""

    BUFFERED = "BUFFERED"
    """When the response is complete."""
    RESPONSE_STREAM = "RESPONSE_STREAM"
    """While it is made."""


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function: its code and its settings."""

    path: Path
    """The folder with the code."""
    handler: str = "app.handler"
    name: str = "function"
    python: Path = Path(sys.executable)
    """The interpreter that runs the function."""
    runtime: RuntimeClient | None = None
    """None: awslambdaric where that interpreter has it, else coldspan."""
    memory_mb: int = 1769
    """What the function is told: 128 to 10240. 1769 MB is one vCPU."""
    limit_resources: bool = False
    """Holds the function to its memory and CPU share by cgroup, where that is permitted."""
    timeout_s: float = 30.0
    environment: Mapping[str, str] = field(default_factory=dict)
    log_format: str = "Text"
    """Text or JSON."""
    init_type: InitType = InitType.ON_DEMAND
    init_gap_s: float | None = None
    """How long an environment that was initialised ahead is frozen before it gets a request; None: INIT_GAP_S."""
    init_limit_s: float | None = None
    """For the first init; None: as Lambda has it for the init type."""
    restore_limit_s: float = 10.0
    invoke_mode: InvokeMode = InvokeMode.BUFFERED
    """Of the function's URL."""
    version: str = VERSION
    """What it is told: $LATEST, or a number as of a published version."""

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
    def init_gap(self) -> float:
        """Seconds from the end of an init ahead of requests to the first of them."""
        return INIT_GAP_S.get(self.init_type, 0.0) if self.init_gap_s is None else self.init_gap_s

    @property
    def init_limit(self) -> float:
        """Seconds that the first init may take."""
        if self.init_limit_s is not None:
            return self.init_limit_s
        if self.init_type.reported == InitType.ON_DEMAND.value:
            return ON_DEMAND_INIT_LIMIT_S
        return max(AHEAD_INIT_LIMIT_S, self.timeout_s)

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
    exception: str | None = None
    """Where the function was not invoked: what the SDKs raise, such as TooManyRequestsException."""
    stream: "ResponseStream | None" = None
    """The payload that is still coming, where the caller wanted it so and the function streams."""


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
    RESTORE_BEGUN = "restore begun"
    RESTORED = "restored"
    INVOCATION_BEGUN = "invocation begun"
    """Nobody has been told yet."""
    NEXT_REPLIED = "next replied"
    """The event's last byte was written to the runtime."""
    RESPONSE_BEGUN = "response begun"
    """The first piece of a response that is streamed to the caller was read."""
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
