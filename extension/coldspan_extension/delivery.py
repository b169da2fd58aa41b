"""From invocations that are over to spans that arrived: makes traces, queues and exports them, says what went wrong."""

import os
import sys

from coldspan_extension import attributes, config, resource
from coldspan_extension.assembly import Assembly
from coldspan_extension.boot import Boot
from coldspan_extension.export import Exported, Failed
from coldspan_extension.export.lane import make_exporter
from coldspan_extension.export.worker import Batch, Worker
from coldspan_extension.invocation import Environment, Invocation
from coldspan_extension.log import Log
from coldspan_extension.platform import INIT_START
from coldspan_extension.queue import Queue
from coldspan_extension.span import Attributes, Span
from coldspan_extension.trace import Tracer


class Delivery:
    def __init__(self, boot: Boot, environment: Environment) -> None:
        self._boot = boot
        self._environment = environment
        self._config = config.parse(boot.environ)
        self._log = Log(self._config.log_level)
        self._refuse_own_endpoint()
        self._note_other_python()
        function = resource.function_name(boot.environ)
        self._tracer = Tracer(environment, function, self._config.sampler, self._config.sampler_ratio)
        self._queue = Queue()
        self._worker = Worker(lambda: make_exporter(self._config, self._log))
        boot.poller.add(self._worker.fileno(), self._collect)
        self._resource: Attributes = {}  # from the first invocation on, it stays as it is
        self._answered: tuple[Span, Invocation] | None = None  # whose `after response` is still to come
        self._corrupt_reported = 0
        self._export_ns = 0
        self._fault = ""  # why the last export failed
        self._told_unobserved = False

    @property
    def is_busy(self) -> bool:
        """An export is under way."""
        return self._worker.is_busy

    @property
    def unreported(self) -> Invocation | None:
        """The invocation whose platform.report is still of use."""
        return self._answered[1] if self._answered else None

    def take(self, assembly: Assembly, corrupt: int) -> None:
        """Queues the spans of what is over. `corrupt` is how many records were unreadable so far."""
        if self._answered is not None and self._answered[1].next_asked_ns:
            span = self._tracer.after_response(*self._answered)
            self._queue.put([span] if span else [])
            self._answered = None
        for invocation in assembly.take():
            lost = assembly.take_lost() + corrupt - self._corrupt_reported
            self._corrupt_reported = corrupt
            spans = self._tracer.trace(invocation, self._carried(lost))
            if spans:
                self._answered = (spans[0], invocation)
            self._queue.put(spans)
            self._resource = self._resource or self._make_resource(invocation)

    def start_export(self, deadline_ns: int) -> bool:
        """Hands what waits to the worker; False if there is nothing, or if the worker has not finished yet."""
        if self._worker.is_busy or not len(self._queue):
            return False
        self._worker.submit(Batch(self._resource, self._queue.take(), deadline_ns))
        return True

    def before_next(self, now_ns: int) -> None:
        """The extension asks for its next event: no connection of ours may idle across the freeze."""
        self._worker.close_idle()
        if self._answered is not None and not self._answered[1].next_asked_ns:
            self._answered[1].next_asked_ns = now_ns

    def end(self) -> None:
        """The environment ends: what still waits is lost."""
        lost = self._queue.take_dropped() + len(self._queue)
        if lost:
            self._log.warning("spans_dropped", reason="shutdown", count=lost)

    def say(self, assembly: Assembly) -> None:
        """Logs what start, configuration and wrapper had to tell: after the response, since loading the logger takes
        its time."""
        for invalid in self._config.invalid:
            facts = {"variable": invalid.variable, "value": invalid.value, "accepted": invalid.accepted}
            self._boot.note("config_invalid", **facts)
        self._config.invalid = []
        for event, told in (*self._boot.notes, *assembly.notes):
            self._log.warning(event, **told)
        self._boot.notes, assembly.notes = [], []
        runtime = self._environment.runtime
        if (runtime is None or not runtime.client_seen) and not self._told_unobserved:
            self._told_unobserved = True
            reason = "no runtime client that we know" if runtime else "AWS_LAMBDA_EXEC_WRAPPER is not our coldspan-exec"
            self._log.warning("runtime_unobserved", reason=reason)

    def _carried(self, lost: int) -> Attributes:
        """What the next SERVER span tells of ourselves."""
        carried: Attributes = {}
        if self._export_ns:
            carried[attributes.OVERHEAD_EXPORT], self._export_ns = self._export_ns / 1e9, 0
        if lost:
            carried[attributes.DROPPED_RECORDS] = lost
        dropped = self._queue.take_dropped()
        if dropped:
            carried[attributes.DROPPED_SPANS] = dropped
        return carried

    def _collect(self) -> None:
        batch = self._worker.collect()
        if batch is None:
            return
        self._export_ns = batch.took_ns
        if isinstance(batch.outcome, Failed):
            self._failed(batch.outcome, batch.spans)
        else:
            self._exported(batch.outcome)

    def _failed(self, failed: Failed, spans: list[Span]) -> None:
        if failed.retryable:
            self._queue.put_back(spans)
        else:
            self._queue.dropped += len(spans)
        if failed.reason != self._fault:  # a collector that is down is worth one line, not one each invocation
            self._log.warning("export_failed", reason=failed.reason, retryable=failed.retryable, spans=len(spans))
        self._fault = failed.reason

    def _exported(self, exported: Exported) -> None:
        self._fault = ""
        self._log.debug("exported", spans=exported.accepted, took_ms=self._export_ns / 1e6)
        if exported.rejected or exported.message:
            self._queue.dropped += exported.rejected
            self._log.warning("export_partly_rejected", rejected=exported.rejected, reason=exported.message)

    def _make_resource(self, invocation: Invocation) -> Attributes:
        start = self._environment.init.get(INIT_START)
        return resource.resource_of(
            self._boot.environ,
            self._config.resource_attributes,
            self._config.service_name,
            self._boot.api.registration,
            invocation.arn,
            self._environment.runtime,
            str(start.record.get("instanceId", "")) if start else "",
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
        if listener is not None and config.is_own_listener(self._config.endpoint, listener.port):
            self._boot.note("endpoint_is_own_listener", endpoint=self._config.endpoint, instead="lines on stdout")
            self._config.endpoint = ""


def _built_for() -> str:
    """The Python version in the layer's file `coldspan/python`; empty outside a layer."""
    package = os.path.dirname(os.path.abspath(__file__))
    try:
        with open(os.path.join(os.path.dirname(os.path.dirname(package)), "python"), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
