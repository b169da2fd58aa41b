"""Tells assembly the life of an environment, in milliseconds from an instant of its own, and reads traces as literals.

Records go through their bytes, so what is told is what a wrapper could have written.
"""

from coldspan_extension.assembly import Assembly
from coldspan_extension.invocation import Environment
from coldspan_extension.platform import PlatformEvent
from coldspan_extension.span import SERVER, Attributes, Span
from coldspan_extension.trace import Tracer
from coldspan_wrapper import records
from coldspan_wrapper.records import Decoder, encode, frame

MS = 1_000_000
T0 = 1_795_508_392_000 * MS
"""The stories' instant 0, Unix ns."""
MONOTONIC_T0 = 5_000 * MS
PID = 7
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:fn"


class Story:
    def __init__(
        self, init_type: str = "on-demand", sampler: str = "parentbased_always_on", ratio: float = 1.0
    ) -> None:
        self.environment = Environment(init_type)
        self.environment.began_ns = T0 + 1 * MS
        self.environment.registered_ns = T0 + 4 * MS
        self.environment.next_asked_ns = T0 + 20 * MS
        self.assembly = Assembly(self.environment, lambda pid, at_ns, cpu_ns: at_ns - cpu_ns)
        self.tracer = Tracer(self.environment, "fn", sampler, ratio, entropy=bytes)
        self.invocation = 0
        self.clock_drift_ms = 0.0
        self._decoder = Decoder()

    def record(self, at_ms: float, kind: int, *values: records.Value, pid: int = PID) -> None:
        at_ns = MONOTONIC_T0 + round((at_ms - self.clock_drift_ms) * MS)
        parts = encode(kind, self.invocation, at_ns, *values)
        while parts:
            data, count = frame(pid, iter(parts))
            parts = parts[count:]
            for record in self._decoder.feed(data):
                self.assembly.record(record)

    def hello(self, at_ms: float = 12, cpu_ms: float = 6, pid: int = PID) -> None:
        wall_ns = T0 + round(at_ms * MS)
        texts = (
            "cpython",
            "3.13.0",
            "3.13.0 (main)",
            "app.handler",
            "/aws/lambda/fn",
            "2026/11/24/[$LATEST]abc",
            "/var/task",
            "/var/lang/lib/python3.13",
        )
        self.record(at_ms, records.HELLO, wall_ns, round(cpu_ms * MS), *texts, pid=pid)
        self.record(at_ms + 1, records.CLIENT, "awslambdaric", "4.2.2", "", pid=pid)

    def init(self) -> None:
        """hello at 12, load from 40 to 95, first next at 100."""
        self.hello()
        self.loaded()
        self.record(100, records.NEXT_BEGIN)

    def loaded(self) -> None:
        self.record(40, records.LOAD_BEGIN)
        self.record(95, records.LOAD_END)

    def restored(self, at_ms: float, hooks_ms: float) -> None:
        """Parked at 100; restored at that time, its hooks took so long. The monotonic clock stood still meanwhile."""
        self.loaded()
        self.record(100, records.RESTORE_BEGIN)
        self.clock_drift_ms = at_ms - 105
        self.record(at_ms, records.RESTORE_END, T0 + round(at_ms * MS))
        self.record(at_ms + hooks_ms, records.NEXT_BEGIN)

    def invoked(self, at_ms: float, request_id: str = "r1", deadline_ms: float = 3_100) -> None:
        deadline = round(T0 / MS + deadline_ms)
        header = "Root=1-5f35ae12-0c0fec141ab77a00bc047aa2;Sampled=0"
        self.assembly.invoked(request_id, deadline, ARN, header, T0 + round(at_ms * MS))

    def delivered(self, at_ms: float, request_id: str = "r1", deadline_ms: float = 3_100) -> None:
        self.invocation += 1
        wall_ns = T0 + round(at_ms * MS)
        deadline = round(T0 / MS + deadline_ms)
        self.record(at_ms, records.NEXT_END, wall_ns, request_id, deadline, ARN, "", 2)

    def served(self, at_ms: float, facts: list[tuple[str, str]] | None = None) -> None:
        """handler from at to +10, response from +10.5 to +12, next event asked for at +12.2."""
        self.record(at_ms, records.HANDLER_BEGIN, facts or [])
        self.record(at_ms + 10, records.HANDLER_END)
        self.record(at_ms + 10.5, records.RESPONSE_BEGIN, 17, 250_000, "")
        self.record(at_ms + 12, records.RESPONSE_END, "")
        self.record(at_ms + 12.2, records.NEXT_BEGIN)

    def platform(self, at_ms: float, of_type: str, **record: object) -> None:
        self.assembly.platform(PlatformEvent(f"platform.{of_type}", T0 + round(at_ms * MS), record))

    def init_trace(self) -> list[Span]:
        """The trace of an init that no request waited for."""
        return self.tracer.take_own()

    def shut_down(self, at_ms: float, reason: str) -> None:
        self.assembly.shut_down(reason, T0 + round(at_ms * MS))

    def traces(self, carried: Attributes | None = None) -> list[list[Span]]:
        return [self.tracer.trace(invocation, carried or {}) for invocation in self.assembly.take()]

    def trace(self) -> list[Span]:
        (spans,) = self.traces()
        return spans


def in_handler() -> Story:
    """The second invocation of its environment, since 502 in its handler."""
    story = Story()
    story.init()
    story.invoked(102)
    story.delivered(104)
    story.served(105)
    story.traces()
    story.invoked(500, "r2", 3_500)
    story.delivered(501, "r2", 3_500)
    story.record(502, records.HANDLER_BEGIN, [])
    return story


def told(spans: list[Span]) -> list[tuple[str, str, float, float]]:
    """Name, parent's name, start and end in ms, for each span."""
    names = {span.span_id: span.name for span in spans}
    return [
        (span.name, names.get(span.parent_id, ""), (span.start_ns - T0) / MS, (span.end_ns - T0) / MS) for span in spans
    ]


def server_of(spans: list[Span]) -> Span:
    (server,) = [span for span in spans if span.kind == SERVER]
    return server


def named(spans: list[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found
