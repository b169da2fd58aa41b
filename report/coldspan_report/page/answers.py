"""What the report's page is made from: plain data, as JSON could carry it. A part that is not there is left out; one
that is there and empty is said to be.

Durations are milliseconds, instants nanoseconds since the Unix epoch.
"""

from typing import TypedDict


class Latency(TypedDict):
    """Percentiles of the requests of one kind."""

    start: str
    """cold or warm."""
    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Bin(TypedDict):
    """How many requests of one kind took from 10 ** (bin / 10) ms on, up to the next bin. Empty bins may be missing."""

    start: str
    """cold or warm."""
    bin: int
    requests: int


class PhaseAt(TypedDict):
    """What one phase took in the cold starts of one part of the time, on average."""

    first_ns: int
    """When that part begins; the same for all its phases."""
    phase: str
    mean_ms: float
    cold: int
    """How many cold starts the mean is of."""


class ImportPath(TypedDict):
    """The imports at one path of the tree, over all cold starts."""

    path: list[str]
    """Modules from the handler's down, such as ["app", "boto3", "botocore"]."""
    source: str
    """function, layer, runtime, stdlib, or empty."""
    self_ms: float
    """What they took themselves, added up."""
    starts: int
    """In how many cold starts they were."""


class Change(TypedDict):
    """One figure before and after, with how many requests or cold starts each is of."""

    name: str
    before_ms: float
    after_ms: float
    before_count: int
    after_count: int
    low_ms: float | None
    """The interval of the difference, after less before; None where there is none."""
    high_ms: float | None
    verdict: str
    """In words, such as: slower; faster; within the noise."""


class Comparison(TypedDict):
    before: str
    """What is compared: two versions, or two windows of time, in words."""
    after: str
    changes: list[Change]


class Table(TypedDict):
    """Anything else. Cells that are numbers are set right."""

    title: str
    columns: list[str]
    rows: list[list[str | int | float | None]]


class Answers(TypedDict, total=False):
    title: str
    scope: str
    """What was asked: sources, filters, from when to when."""
    sentences: list[str]
    """What a reader should know first."""
    warnings: list[str]
    """What is missing or was dropped, where it was sampled."""
    latency: list[Latency]
    distribution: list[Bin]
    phases: list[PhaseAt]
    cold_starts: int
    """How many `imports` is of."""
    imports: list[ImportPath]
    comparison: Comparison | None
    tables: list[Table]
