"""From invocations that are over to spans that arrived: makes traces, queues and exports them, says what went wrong."""

import sys
import time

from coldspan_extension import attributes, config, resource, timing, tree
from coldspan_extension.assembly import RECENT, Assembly
from coldspan_extension.boot import Boot
from coldspan_extension.export import Exported, Failed, lane
from coldspan_extension.export.breaker import Breaker
from coldspan_extension.export.worker import Batch, Worker
from coldspan_extension.importlog import MAX_IMPORTS
from coldspan_extension.imports import MAX_SPANS, Policy
from coldspan_extension.invocation import Environment, Invocation
from coldspan_extension.log import Log
from coldspan_extension.platform import INIT_START, REPORT, RESTORE_START
from coldspan_extension.queue import Queue
from coldspan_extension.span import Attributes, Span
from coldspan_extension.trace import Tracer
from coldspan_wrapper import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


class Delivery:
    def __init__(self, boot: Boot, environment: Environment, settings: config.Config) -> None:
        self._boot = boot
        self._environment = environment
        self._config = settings
        choice = lane.choose(settings, is_ahead=boot.is_ahead, has_sdk=lane.has_sdk())
        self._lane = choice.lane
        self._choice_untold: lane.Choice | None = choice if choice.reason else None
        self._log = Log(settings.log_level, through_structlog=self._lane == config.SDK)
        self._refuse_own_endpoint()
        self._note_other_python()
        environment.imports = _import_policy(self._config)
        environment.proactive_after_ns = self._config.proactive_after_ms * 1_000_000
        function = resource.function_name(boot.environ)
        self._tracer = Tracer(environment, function, self._config.sampler, self._config.sampler_ratio)
        self._queue = Queue()
        self._worker = Worker(lambda: lane.make_exporter(self._config, self._lane, self._log))
        boot.poller.add(self._worker.fileno(), self._collect)
        self._resource: Attributes = {}  # from the first invocation on, it stays as it is
        self._answered: list[tuple[Span, Invocation]] = []  # whose `after response` is still to come, oldest first
        self._breaker = Breaker()
        self._export_ns = 0  # not yet told on a span
        self.sending_ns = 0
        """What the latest export took, without loading what it needs; 0 before the first."""
        self._fault = ""  # why the last export failed
        self.retry_after_ns = 0
        """What the collector asked for when it last refused."""
        self._told_unobserved = False

    @property
    def is_busy(self) -> bool:
        """An export is under way."""
        return self._worker.is_busy

    @property
    def awaits_report(self) -> bool:
        """A platform.report is still of use."""
        return any(REPORT not in invocation.platform for _, invocation in self._answered)

    def take(self, over: "Iterable[Invocation]", lost_records: int) -> None:
        """Queues the spans of invocations that are over. `lost_records` is how many were lost since the last call."""
        self._queue.lost_records += lost_records
        for invocation in over:
            spans = self._made(self._tracer.trace, invocation, self._carried())
            if spans:
                self._answered.append((spans[0], invocation))
                self._queue.lost_records = self._queue.dropped = self._export_ns = 0
            self._send(spans, invocation.arn)
            self._tell_start(invocation)
            _forget_imports(invocation)
        self._take_after_responses()
        self._send(self._made(self._tracer.take_own), "")

    def _made(self, make: "Callable[..., list[Span]]", *told: "Any") -> list[Span]:
        """The spans; none where what they are made of is beyond us: the next ones shall not pay for it."""
        try:
            return make(*told)
        except Exception as fault:
            self._boot.note("trace_lost", reason=f"{fault!r}")
            self._queue.dropped += 1
            return []

    def _take_after_responses(self) -> None:
        """Those that are complete, and the oldest where too many wait for a report; all when the environment ends."""
        waiting = []
        for at, (server, invocation) in enumerate(self._answered):
            too_old = len(self._answered) - at > RECENT or self._environment.ended_ns
            if REPORT in invocation.platform or too_old:
                self._queue.put(self._made(self._tracer.after_response, server, invocation))
            elif records.RESPONSE_END in invocation.at:  # else there is no `after response`
                waiting.append((server, invocation))
        self._answered = waiting

    def take_killed_init(self, environment: Environment) -> None:
        """Queues the trace of an init before ours, of which the process was killed. After an invocation was taken: the
        resource is the function's, whose ARN only invocations tell for sure."""
        function = resource.function_name(self._boot.environ)
        tracer = Tracer(environment, function, self._config.sampler, self._config.sampler_ratio)
        environment.imports = self._environment.imports
        self._send(self._made(tracer.take_own), "")

    def _send(self, spans: list[Span], arn: str) -> None:
        if spans:
            self._queue.put(spans)
            self._resource = self._resource or self._make_resource(arn)

    def _tell_start(self, invocation: Invocation) -> None:
        start = self._tracer.start
        if start is not None and invocation.sequence == 1:
            self._log.debug("start", request_id=invocation.request_id, kind=start.kind, reason=start.reason)

    def start_export(self, now_ns: int, deadline_ns: int, *, last: bool) -> bool:
        """Hands what waits to the worker; False if there is nothing, no time, or if the worker has not finished yet.
        After failures it pauses, but for the `last` attempt."""
        if self._worker.is_busy or not len(self._queue) or now_ns >= deadline_ns:
            return False
        if not last and not self._breaker.allows(now_ns):
            return False
        self._worker.submit(Batch(self._resource, self._queue.take(), deadline_ns))
        return True

    def load(self) -> None:
        """Makes the exporter ready, where init is on nobody's path."""
        self._worker.load()

    def load_light(self) -> None:
        """The same if it takes no more than some milliseconds."""
        if self._lane == config.LEAN:
            self._worker.load()

    @property
    def must_load(self) -> bool:
        """The sdk lane's exporter is not there yet: up to 4 s on a small function."""
        return self._lane == config.SDK and not self._worker.is_loaded

    def can_export(self, now_ns: int) -> bool:
        """Neither a pause after failures, nor an export that an earlier invocation waited for in vain."""
        return self._breaker.allows(now_ns) and not self._worker.is_busy

    @property
    def has_failed(self) -> bool:
        """The latest export did."""
        return bool(self._fault)

    @property
    def waiting(self) -> int:
        """Spans that no export is under way for."""
        return len(self._queue)

    def close_idle(self) -> None:
        """Before the extension asks for its next event: no connection of ours may idle across the freeze."""
        self._worker.close_idle()

    def end(self) -> None:
        """The environment ends: what still waits, or is on its way, is lost."""
        self._log.hurry()
        queue = self._queue
        queue.drop(queue.take(len(queue)) + self._worker.on_their_way)
        if queue.dropped:
            self._boot.note("spans_dropped", reason="shutdown", count=queue.dropped)
        if queue.lost_records:
            self._boot.note("records_lost", count=queue.lost_records)

    def say(self, assembly: Assembly) -> None:
        """Logs what start, configuration and wrapper had to tell: after the response, since loading the logger takes
        its time."""
        for invalid in self._config.invalid:
            facts = {"variable": invalid.variable, "value": invalid.value, "accepted": invalid.accepted}
            self._boot.note("config_invalid", **facts)
        self._config.invalid = []
        self._tell_choice()
        listener = self._boot.listener
        if listener is not None and listener.dropped:
            self._boot.note("telemetry_dropped", batches=listener.dropped)
            listener.dropped = 0
        for event, told in (*self._boot.notes, *assembly.notes):
            self._log.warning(event, **told)
        self._boot.notes, assembly.notes = [], []
        runtime = self._environment.runtime
        if (runtime is None or not runtime.client_seen) and not self._told_unobserved:
            self._told_unobserved = True
            reason = "no runtime client that we know" if runtime else "AWS_LAMBDA_EXEC_WRAPPER is not our coldspan-exec"
            self._log.warning("runtime_unobserved", reason=reason)

    def _tell_choice(self) -> None:
        choice, self._choice_untold = self._choice_untold, None
        if choice is not None:
            say = self._log.warning if choice.differs else self._log.info
            say("exporter_chosen", exporter=choice.lane, reason=choice.reason)

    def _carried(self) -> Attributes:
        """What the next SERVER span tells of ourselves."""
        carried: Attributes = {}
        if self._export_ns:
            carried[attributes.OVERHEAD_EXPORT] = self._export_ns / 1e9
        if self._queue.lost_records:
            carried[attributes.DROPPED_RECORDS] = self._queue.lost_records
        if self._queue.dropped:
            carried[attributes.DROPPED_SPANS] = self._queue.dropped
        return carried

    def _collect(self) -> None:
        batch = self._worker.collect()
        if batch is None:
            return
        self._export_ns = batch.took_ns
        self.sending_ns = batch.took_ns - batch.load_ns
        if isinstance(batch.outcome, Failed):
            self._failed(batch.outcome, batch.spans)
        else:
            self._exported(batch.outcome)

    def _failed(self, failed: Failed, spans: list[Span]) -> None:
        self._breaker.failed(time.time_ns(), failed.retry_after_s)
        self.retry_after_ns = int((failed.retry_after_s or 0.0) * 1e9)
        if failed.retryable:
            self._queue.put_back(spans)
        else:
            self._queue.drop(spans)
        if failed.reason != self._fault:  # a collector that is down is worth one line, not one each invocation
            self._boot.note("export_failed", reason=failed.reason, retryable=failed.retryable, spans=len(spans))
        self._fault = failed.reason

    def _exported(self, exported: Exported) -> None:
        self._fault = ""
        self._breaker.exported()
        self._log.debug("exported", spans=exported.accepted, took_ms=self._export_ns / 1e6)
        if exported.rejected or exported.message:
            self._queue.dropped += exported.rejected
            self._boot.note("export_partly_rejected", rejected=exported.rejected, reason=exported.message)

    def _make_resource(self, arn: str) -> Attributes:
        told = self._environment.platform
        start = told.get(RESTORE_START) or told.get(INIT_START)  # a snapshot's init was another environment's
        return resource.resource_of(
            self._boot.environ,
            self._config.resource_attributes,
            self._config.service_name,
            self._boot.api.registration,
            arn or (start.text("functionArn") if start else ""),
            self._environment.runtime,
            start.text("instanceId") if start else "",
            resource.random_uuid(),
        )

    def _note_other_python(self) -> None:
        """Under another Python than the layer was built for there is no bytecode, and a compiled dependency may not
        load: everything still works, more slowly, or the export tells why not."""
        built_for = _built_for()
        running = "{}.{}".format(*sys.version_info)
        if built_for and built_for != running:
            self._boot.note("python_differs", built_for=built_for, running=running)

    def _refuse_own_endpoint(self) -> None:
        listener = self._boot.listener
        endpoint = self._config.endpoint
        if listener is not None and endpoint is not None and config.is_own_listener(endpoint, listener.port):
            self._boot.note("endpoint_is_own_listener", endpoint=str(endpoint), instead="lines on stdout")
            self._config.endpoint = None


def _forget_imports(invocation: Invocation) -> None:
    """Of the handler, once told or left out: those of the load belong to the environment, and are asked for again."""
    begin_ns = invocation.at.get(records.HANDLER_BEGIN, 0)
    if invocation.runtime is not None and begin_ns:
        invocation.runtime.imports.forget(begin_ns, timing.invocation_end(invocation))


def _import_policy(settings: config.Config) -> Policy | None:
    if settings.imports == "off":
        return None
    if settings.imports == "all":
        return Policy(0, MAX_IMPORTS)
    return Policy(settings.imports_threshold_ms * 1_000_000, MAX_SPANS)


def _built_for() -> str:
    """The Python version in the layer's file `coldspan/python`; empty outside a layer."""
    try:
        with open(tree.path("python"), "rb", 0) as file:  # as text it would take the codec for ASCII, 0.4 ms
            return file.read().decode().strip()
    except OSError:
        return ""
