"""The loop that owns all state: waits for events, lets wrapper and platform report, exports, asks for the next event.

Two rules keep the invocation unharmed. An extension that is not in next at the function's deadline turns a delivered
response into a timeout, so everything has a limit before it. And Lambda tells of a shutdown only whoever is in next, so
the wait for a response also ends when the runtime's process does.
"""

import fcntl
import os
import time
from collections.abc import Callable

from coldspan_extension import attributes, config, procfs, resource
from coldspan_extension.api import ApiError, Event
from coldspan_extension.assembly import Assembly
from coldspan_extension.boot import Boot
from coldspan_extension.export import Failed
from coldspan_extension.export.lane import make_exporter
from coldspan_extension.export.worker import Batch, Worker
from coldspan_extension.invocation import Environment, Invocation
from coldspan_extension.log import Log
from coldspan_extension.platform import INIT_START, LOGS_DROPPED, REPORT, Unreadable, parse_batch
from coldspan_extension.queue import Queue
from coldspan_extension.span import Attributes, Span
from coldspan_extension.trace import Tracer
from coldspan_wrapper import records

MS = 1_000_000
PIPE_SIZE = 1_048_576
F_SETPIPE_SZ = 1031  # fcntl.h; named by Python's fcntl from 3.10 on some platforms only
SHUTDOWN_MARGIN_NS = 150 * MS
LATE_REPORT_NS = 50 * MS
"""How long SHUTDOWN waits for platform.report of the last invocation, which comes after the freeze: 5 ms on average,
40 at most (elastic/apm-aws-lambda, pull request 347)."""


def run(boot: Boot, began_ns: int) -> None:
    """Serves events until SHUTDOWN. `began_ns` is when the extension's process began, 0 if the start script cannot
    tell."""
    began_ns = began_ns or procfs.process_start(os.getpid(), time.time_ns(), time.process_time_ns())
    Extension(boot, began_ns).run()


def hold_until(received_ns: int, deadline_ns: int) -> int:
    """The latest instant at which an extension asks for its next event: 10 % of the time given, at least 100 ms,
    before the function's deadline."""
    return deadline_ns - max(100 * MS, (deadline_ns - received_ns) // 10)


class Extension:
    def __init__(self, boot: Boot, began_ns: int) -> None:
        self._boot = boot
        self._config = config.parse(boot.environ)
        self._log = Log(self._config.log_level)
        self._refuse_own_endpoint()
        environment = Environment(boot.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") or "on-demand")
        environment.began_ns = began_ns
        environment.registered_ns = boot.registered_ns
        environment.next_asked_ns = boot.next_asked_ns
        self._environment = environment
        self._assembly = Assembly(environment, procfs.process_start)
        self._tracer = Tracer(
            environment,
            resource.function_name(boot.environ),
            self._config.sampler,
            self._config.sampler_ratio,
        )
        self._queue = Queue()
        self._worker = Worker(lambda: make_exporter(self._config, self._log))
        self._decoder = records.Decoder()
        self._corrupt_reported = 0
        self._event: Event | None = None
        self._answered: tuple[Span, Invocation] | None = None  # whose `after response` is still to come
        self._resource: Attributes = {}
        self._export_ns = 0
        self._fault = ""  # the last export's
        self._pidfd = -1
        self._told_unobserved = False

    def run(self) -> None:
        poller = self._boot.poller
        poller.add(self._boot.api.fileno(), self._read_event)
        poller.add(self._worker.fileno(), self._collect)
        if self._boot.channel >= 0:
            self._enlarge_pipe()
            poller.add(self._boot.channel, self._read_channel)
        while True:
            event = self._next()
            if event.is_shutdown:
                return self._shut_down(event)
            self._invoke(event)
            self._ask_next()

    def _next(self) -> Event:
        while self._event is None:
            self._boot.poller.wait()
        event, self._event = self._event, None
        return event

    def _ask_next(self) -> None:
        self._worker.close_idle()
        asked_ns = time.time_ns()
        if self._answered is not None and not self._answered[1].next_asked_ns:
            self._answered[1].next_asked_ns = asked_ns
        self._boot.api.ask_next()

    def _invoke(self, event: Event) -> None:
        invoke, limit_ns = event.record, hold_until(event.received_ns, event.deadline_ns)
        tracing = invoke.get("tracing")
        self._assembly.invoked(
            str(invoke.get("requestId", "")),
            int(invoke.get("deadlineMs", 0)),
            str(invoke.get("invokedFunctionArn", "")),
            str(tracing.get("value", "")) if isinstance(tracing, dict) else "",
            event.received_ns,
        )
        self._read_channel()
        if self._config.flush == config.END and self._is_observed():
            self._wait(lambda: self._is_over() or not self._is_observed(), limit_ns)
        self._assemble()
        self._flush(limit_ns)
        self._say_what_is_to_say()

    def _shut_down(self, event: Event) -> None:
        limit_ns = event.deadline_ns - SHUTDOWN_MARGIN_NS
        self._read_channel()
        last = self._answered[1] if self._answered else None
        if self._boot.listener is not None and last is not None:
            self._wait(lambda: self._reported(last), min(limit_ns, event.received_ns + LATE_REPORT_NS))
        self._read_telemetry()
        self._assembly.shut_down(str(event.record.get("shutdownReason", "")), event.received_ns)
        self._assemble()
        self._flush(limit_ns)
        lost = self._queue.take_dropped() + len(self._queue)
        if lost:
            self._log.warning("spans_dropped", reason="shutdown", count=lost)
        self._say_what_is_to_say()

    def _wait(self, done: Callable[[], bool], limit_ns: int) -> None:
        """Lets everybody report until it is done, or until `limit_ns`."""
        while not done():
            left_ns = limit_ns - time.time_ns()
            if left_ns <= 0:
                return
            self._boot.poller.wait(left_ns)

    def _reported(self, invocation: Invocation) -> bool:
        self._read_telemetry()
        return REPORT in invocation.platform

    def _is_observed(self) -> bool:
        """Whether records of this invocation will come: without them there is nothing to wait for."""
        runtime = self._environment.runtime
        return runtime is not None and runtime.client_seen and not runtime.is_silent and not runtime.ended_ns

    def _is_over(self) -> bool:
        self._read_telemetry()  # runtimeDone ends the wait too, should the record of the response be lost
        return self._assembly.has_over

    # What comes in

    def _read_event(self) -> None:
        try:
            self._event = self._boot.api.read_next(time.time_ns())
        except ApiError:
            self._boot.poller.remove(self._boot.api.fileno())
            raise

    def _read_channel(self) -> None:
        while self._boot.channel >= 0:
            try:
                data = os.read(self._boot.channel, 65536)
            except BlockingIOError:
                return
            for record in self._decoder.feed(data):
                self._assembly.record(record)
                if record.kind == records.HELLO:
                    self._watch(record.pid)

    def _watch(self, pid: int) -> None:
        """Has the runtime's end noticed: both ends of the pipe are open for both sides, so no end of file tells it."""
        if self._pidfd >= 0:
            self._boot.poller.remove(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            return self._runtime_ended()
        self._boot.poller.add(self._pidfd, self._runtime_ended)

    def _runtime_ended(self) -> None:
        self._read_channel()  # what the process wrote before its end
        self._assembly.runtime_ended(time.time_ns())
        if self._pidfd >= 0:
            self._boot.poller.remove(self._pidfd)

    def _read_telemetry(self) -> None:
        batches = self._boot.listener.take() if self._boot.listener is not None else []
        if batches:
            self._read_channel()  # as Assembly.platform asks for
        for body in batches:
            try:
                for event in parse_batch(body):
                    self._assembly.platform(event)
                    if event.type == LOGS_DROPPED:
                        self._log.debug("telemetry_dropped_by_platform", **event.record)
            except Unreadable as error:
                self._log.debug("telemetry_unreadable", reason=str(error))

    # What goes out

    def _assemble(self) -> None:
        """Puts the spans of what is over into the queue."""
        self._read_telemetry()
        if self._answered is not None and self._answered[1].next_asked_ns:
            span = self._tracer.after_response(*self._answered)
            self._queue.put([span] if span else [])
            self._answered = None
        for invocation in self._assembly.take():
            spans = self._tracer.trace(invocation, self._carried())
            if spans:
                self._answered = (spans[0], invocation)
            self._queue.put(spans)
            self._freeze_resource(invocation)

    def _carried(self) -> Attributes:
        """What the next SERVER span tells of ourselves."""
        carried: Attributes = {}
        if self._export_ns:
            carried[attributes.OVERHEAD_EXPORT], self._export_ns = self._export_ns / 1e9, 0
        unreadable = self._decoder.corrupt - self._corrupt_reported
        self._corrupt_reported = self._decoder.corrupt
        lost = self._assembly.take_lost() + unreadable
        if lost:
            carried[attributes.DROPPED_RECORDS] = lost
        dropped = self._queue.take_dropped()
        if dropped:
            carried[attributes.DROPPED_SPANS] = dropped
        return carried

    def _flush(self, limit_ns: int) -> None:
        """Exports what waits, unless that takes too long; then it goes on beside what follows."""
        self._wait(lambda: not self._worker.is_busy, limit_ns)
        if self._worker.is_busy or not len(self._queue):
            return
        self._worker.submit(Batch(self._resource, self._queue.take(), limit_ns))
        self._wait(lambda: not self._worker.is_busy, limit_ns)

    def _collect(self) -> None:
        batch = self._worker.collect()
        if batch is None:
            return
        self._export_ns = batch.took_ns
        outcome = batch.outcome
        if isinstance(outcome, Failed):
            if outcome.retryable:
                self._queue.put_back(batch.spans)
            else:
                self._queue.dropped += len(batch.spans)
            if outcome.reason != self._fault:
                self._log.warning("export_failed", reason=outcome.reason, spans=len(batch.spans))
            self._fault = outcome.reason
            return
        self._fault = ""
        if outcome.rejected or outcome.message:
            self._queue.dropped += outcome.rejected
            self._log.warning("export_partly_rejected", rejected=outcome.rejected, reason=outcome.message)

    def _freeze_resource(self, invocation: Invocation) -> None:
        if self._resource:
            return
        start = self._environment.init.get(INIT_START)
        self._resource = resource.resource_of(
            self._boot.environ,
            self._config.resource_attributes,
            self._config.service_name,
            self._boot.api.registration,
            invocation.arn,
            self._environment.runtime,
            str(start.record.get("instanceId", "")) if start else "",
            resource.random_uuid(),
        )

    # What is said

    def _refuse_own_endpoint(self) -> None:
        listener = self._boot.listener
        if listener is not None and config.is_own_listener(self._config.endpoint, listener.port):
            self._boot.note("endpoint_is_own_listener", endpoint=self._config.endpoint, instead="lines on stdout")
            self._config.endpoint = ""

    def _say_what_is_to_say(self) -> None:
        """Warnings of start, configuration and wrapper, after the first invocation: loading the logger takes time."""
        for invalid in self._config.invalid:
            self._log.warning(
                "config_invalid", variable=invalid.variable, value=invalid.value, accepted=invalid.accepted
            )
        self._config.invalid = []
        for event, facts in (*self._boot.notes, *self._assembly.notes):
            self._log.warning(event, **facts)
        self._boot.notes, self._assembly.notes = [], []
        runtime = self._environment.runtime
        if (runtime is None or not runtime.client_seen) and not self._told_unobserved:
            self._told_unobserved = True
            reason = "no runtime client that we know" if runtime else "AWS_LAMBDA_EXEC_WRAPPER is not our coldspan-exec"
            self._log.warning("runtime_unobserved", reason=reason)

    def _enlarge_pipe(self) -> None:
        try:
            fcntl.fcntl(self._boot.channel, F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # more than an unprivileged user may have: the wrapper's backlog holds what does not fit
