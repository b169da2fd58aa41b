"""The loop that owns all state: waits for events, lets wrapper and platform report, delivers, asks for the next event.

Two rules keep the invocation unharmed. An extension that is not in next at the function's deadline turns a delivered
response into a timeout, so everything has a limit before it. And Lambda tells of a shutdown only whoever is in next, so
the wait for a response also ends when the runtime's process does.

What delivers (traces, logger, exporters) is loaded when there is something to deliver: until then every import here
competes with the function for its CPU. Of a small function that is worse the other way round.
"""

import fcntl
import posix as os
import time

from coldspan_extension import config, flush, procfs, starts, timing
from coldspan_extension.assembly import Assembly
from coldspan_extension.invocation import Environment
from coldspan_extension.platform import REPORT, Unreadable, parse_batch
from coldspan_wrapper import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldspan_extension.api import Event
    from coldspan_extension.boot import Boot
    from coldspan_extension.delivery import Delivery
    from coldspan_extension.invocation import Invocation
    from coldspan_extension.leftover import Leftover

MS = 1_000_000
EMPTY_PIPE_IN_INIT_EVERY_NS = 100 * MS
EMPTY_PIPE_EVERY_NS = 1_000 * MS
"""While an event is awaited. An init writes much more; what does not fit waits in the wrapper, up to a bound."""
PIPE_SIZE = 1_048_576
F_SETPIPE_SZ = 1031  # linux/fcntl.h
SHUTDOWN_MARGIN_NS = 150 * MS
LONG_INIT_NS = 1_000 * MS
"""From here on an init may be one that Lambda kills (leftover.py); a shorter one writes no file."""
RETRY_AFTER_NS = 100 * MS
"""The first pause of a retry at SHUTDOWN; each is twice the one before."""
LATE_TELEMETRY_NS = 50 * MS
"""How long SHUTDOWN waits for what the platform has still to tell: platform.report of the last invocation comes after
the freeze, 5 ms on average, 40 at most (elastic/apm-aws-lambda, pull request 347); of a failure only it may tell."""


def hold_until(received_ns: int, deadline_ns: int) -> int:
    """The latest instant at which an extension asks for its next event: 10 % of the time given, at least 100 ms,
    before the function's deadline."""
    return deadline_ns - max(100 * MS, (deadline_ns - received_ns) // 10)


class Init:
    """Keeps the bytes of the pipe while init goes on: Lambda may kill it, and the process after ours tells of it."""

    def __init__(self, path: str, environment: Environment) -> None:
        """`path` is of the file that a long init is kept in."""
        # On managed instances the process that asks for events is not ours to see.
        self.goes_on = environment.init_type != starts.MANAGED
        self._path = path
        self._environment = environment
        self._bytes: list[bytes] = []
        self._file: Leftover | None = None  # from when it is long

    def keep(self, data: bytes) -> None:
        """Bytes as they were read."""
        if self._file is not None:
            self._file.add(data)
        elif self.goes_on:
            self._bytes.append(data)

    def look_after_ns(self, now_ns: int) -> int:
        """How soon to read the pipe again; 0 when init is over. Begins the file of an init that is long by now."""
        if not self.goes_on:
            return 0
        if self._file is not None or not self._bytes:  # where nothing is observed, there is nothing to keep
            return EMPTY_PIPE_IN_INIT_EVERY_NS
        left_ns = self._environment.began_ns + LONG_INIT_NS - now_ns
        if left_ns > 0:
            return min(left_ns, EMPTY_PIPE_IN_INIT_EVERY_NS)
        from coldspan_extension.leftover import Leftover

        self._file = Leftover(self._path, self._environment, self._bytes)
        return EMPTY_PIPE_IN_INIT_EVERY_NS

    def end(self) -> None:
        """It is over, one way or the other."""
        self.goes_on = False
        self._bytes = []
        if self._file is not None:
            self._file.remove()
            self._file = None


class Extension:
    def __init__(self, boot: "Boot", began_ns: int) -> None:
        """`began_ns` is when the extension's process began, 0 if the start script cannot tell."""
        began_ns = began_ns or procfs.process_start(os.getpid(), time.time_ns(), time.process_time_ns())
        self._boot = boot
        self._environment = Environment(boot.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") or "on-demand")
        self._environment.is_repeated = boot.is_repeated
        self._environment.began_ns = began_ns
        self._environment.registered_ns = boot.registered_ns
        self._assembly = Assembly(self._environment, procfs.process_start)
        self._decoder = records.Decoder()
        self._config = config.parse(boot.environ)
        self._history = flush.History()
        self._waiting = 0  # invocations whose traces are not out yet
        self._waiting_since_ns = 0  # when the oldest of them began
        self._unread: list[tuple[Event, int]] = []  # INVOKE events of a burst, and when we asked for the next
        self._over: list[Invocation] = []  # of which no trace was made yet
        self._corrupt_told = 0
        self._is_unheard = False  # the latest wait for a response was in vain, and no record has come since
        self._told_unheard = False
        self._delivery_made: Delivery | None = None
        self._event: Event | None = None
        self._pidfd = -1
        self._init = Init(boot.leftover_path, self._environment)
        self._left = b""  # by a process before ours

    def load(self) -> None:
        """Loads what delivers, the exporter included: where nobody waits for init."""
        self._delivery.load()

    def run(self) -> None:
        """Serves events until SHUTDOWN. The first is asked for already."""
        self._environment.next_asked_ns = self._boot.next_asked_ns
        if self._boot.channel >= 0:
            self._look_for_leftover()
            self._enlarge_pipe()
        if flush.loads_early(self._config.memory_mb):
            self._delivery.load_light()
        while True:
            event = self._next()
            if event.is_shutdown:
                return self._shut_down(event)
            self._invoke(event)

    def _next(self) -> "Event":
        """The API's connection is looked at only while it owes us an event. Meanwhile the pipe is emptied now and then:
        to be woken by each of an init's records would cost the function more than to write them."""
        self._boot.poller.add(self._boot.api.fileno(), self._read_event)
        while self._event is None:
            self._boot.poller.wait(self._init.look_after_ns(time.time_ns()) or EMPTY_PIPE_EVERY_NS)
            if self._event is None or self._init.goes_on:
                self._read_channel()
        self._init.end()
        self._boot.poller.remove(self._boot.api.fileno())
        event, self._event = self._event, None
        return event

    def _invoke(self, event: "Event") -> None:
        plan, limit_ns = self._plan(event), hold_until(event.received_ns, event.deadline_ns)
        if not plan.beside and not plan.hold:
            self._unread.append((event, self._ask_next()))
            if len(self._unread) >= flush.MANY:  # exports fail: spans are bounded, and counted when they go
                self._catch_up()
                self._make_traces()
            return
        self._catch_up()
        self._tell_unheard()
        invocation = self._invoked(event)
        if plan.beside:
            self._deliver(limit_ns)
            self._begin_to_wait(event.received_ns)
        if plan.hold:
            self._wait_for_records(lambda: self._is_over(invocation) or not self._is_observed(), limit_ns)
            if self._is_observed() and records.RESPONSE_END not in invocation.at:
                self._is_unheard = True
            self._take_over()
            if time.time_ns() < limit_ns:  # later, everything has to wait for the next occasion
                self._deliver(limit_ns)
        invocation.next_asked_ns = self._ask_next()
        if self._delivery_made is not None:
            self._delivery.say(self._assembly)  # loading the logger takes time, and nobody waits for it now

    def _plan(self, event: "Event") -> flush.Plan:
        now_ns, delivery = event.received_ns, self._delivery_made
        self._history.begins(now_ns)
        plan = flush.plan(
            flush.Situation(
                policy=self._config.flush,
                gaps_ns=self._history.gaps_ns,
                waiting=self._waiting,
                age_ns=now_ns - self._waiting_since_ns if self._waiting else 0,
                handler_ns=self._history.handler_ns,
                export_ns=delivery.sending_ns if delivery is not None else 0,
                memory_mb=self._config.memory_mb,
                delay_ns=self._config.flush_delay_ms * MS,
                can_export=delivery is None or delivery.can_export(now_ns),
                must_load=delivery is not None and delivery.must_load,
            )
        )
        if not plan.beside:
            self._begin_to_wait(now_ns)
        return plan

    def _begin_to_wait(self, at_ns: int) -> None:
        self._waiting_since_ns = self._waiting_since_ns if self._waiting else at_ns
        self._waiting += 1

    def _ask_next(self) -> int:
        """When it was, Unix ns."""
        if self._delivery_made is not None:
            self._delivery.close_idle()
        asked_ns = time.time_ns()
        self._boot.api.ask_next()
        return asked_ns

    def _invoked(self, event: "Event") -> "Invocation":
        invoke = event.record
        tracing = invoke.get("tracing")
        return self._assembly.invoked(
            str(invoke.get("requestId", "")),
            int(invoke.get("deadlineMs", 0)),
            str(invoke.get("invokedFunctionArn", "")),
            str(tracing.get("value", "")) if isinstance(tracing, dict) else "",
            event.received_ns,
        )

    def _catch_up(self) -> None:
        """Takes in what was left unread in a burst: the events first, which tell the records and the platform's events
        apart."""
        for event, asked_ns in self._unread:
            self._invoked(event).next_asked_ns = asked_ns
        self._unread = []
        self._read_channel()
        for _ in range(2):  # what is on its way to us: a connection, and the batch on it
            self._boot.poller.wait(0)
        self._read_telemetry()
        self._take_over()

    def _take_over(self) -> None:
        for invocation in self._assembly.take():
            self._over.append(invocation)
            if invocation.invoked_ns:
                self._history.ended(timing.invocation_end(invocation) - invocation.invoked_ns)

    def _shut_down(self, event: "Event") -> None:
        limit_ns = event.deadline_ns - SHUTDOWN_MARGIN_NS
        self._catch_up()
        if self._boot.listener is not None:
            self._wait(self._has_heard_all, min(limit_ns, event.received_ns + LATE_TELEMETRY_NS))
        self._read_telemetry()
        self._assembly.shut_down(str(event.record.get("shutdownReason", "")), event.received_ns)
        self._take_over()
        self._wait(lambda: not self._delivery.is_busy, limit_ns)
        self._deliver_all(limit_ns)
        self._delivery.end()
        self._delivery.say(self._assembly)

    def _deliver_all(self, limit_ns: int) -> None:
        """There is no later occasion: what a collector refuses for now is tried again while there is time."""
        pause_ns = RETRY_AFTER_NS
        self._deliver(limit_ns, last=True)
        while self._delivery.waiting and not self._delivery.is_busy:
            again_ns = time.time_ns() + max(pause_ns, self._delivery.retry_after_ns)
            if again_ns >= limit_ns:
                return
            self._wait(lambda: False, again_ns)
            self._deliver(limit_ns, last=True)
            pause_ns *= 2

    def _deliver(self, limit_ns: int, *, last: bool = False) -> None:
        """Waits for the exports it starts, but not for one that an earlier invocation waited for in vain: a collector
        that hangs is billed once. `last`: nothing can be put off any more."""
        self._make_traces()
        delivery = self._delivery
        while delivery.start_export(time.time_ns(), limit_ns, last=last):
            self._wait(lambda: not delivery.is_busy, limit_ns)
            if delivery.has_failed:
                return
        if not delivery.waiting:
            self._waiting = 0

    def _make_traces(self) -> None:
        delivery, corrupt = self._delivery, self._decoder.corrupt
        over, self._over = self._over, []
        delivery.take(over, self._assembly.take_lost() + corrupt - self._corrupt_told)
        self._corrupt_told = corrupt
        if self._left:
            left, self._left = self._left, b""
            self._guarded(self._deliver_leftover, left)

    @property
    def _delivery(self) -> "Delivery":
        if self._delivery_made is None:
            from coldspan_extension.delivery import Delivery

            self._delivery_made = Delivery(self._boot, self._environment, self._config)
        return self._delivery_made

    def _wait_for_records(self, done: "Callable[[], bool]", limit_ns: int) -> None:
        channel = self._boot.channel
        if channel >= 0:
            self._boot.poller.add(channel, self._read_channel)
        self._wait(done, limit_ns)
        self._boot.poller.remove(channel)

    def _wait(self, done: "Callable[[], bool]", limit_ns: int) -> None:
        """Lets everybody report until it is done, or until `limit_ns`."""
        while not done():
            left_ns = limit_ns - time.time_ns()
            if left_ns <= 0:
                return
            self._boot.poller.wait(left_ns)

    def _is_over(self, invocation: "Invocation") -> bool:
        self._read_telemetry()  # runtimeDone ends the wait too, should the record of the response be lost
        return invocation.is_over

    def _is_observed(self) -> bool:
        """Whether records of this invocation will come: without them there is nothing to wait for."""
        runtime = self._environment.runtime
        if runtime is None or not runtime.client_seen or self._is_unheard:
            return False
        return not runtime.is_silent and not runtime.ended_ns

    def _tell_unheard(self) -> None:
        """The wrapper left its process without a word: user code became another program, or lost it the pipe."""
        if self._is_unheard and not self._told_unheard:
            self._told_unheard = True
            self._boot.note("runtime_unobserved", reason="the wrapper is heard no more")

    def _has_heard_all(self) -> bool:
        self._read_telemetry()
        if any(REPORT not in invocation.platform for invocation in self._over[-1:]):
            return False
        return self._assembly.is_told and (self._delivery_made is None or not self._delivery.awaits_report)

    def _read_event(self) -> None:
        self._event = self._boot.api.read_next(time.time_ns())

    def _read_channel(self) -> None:
        while self._boot.channel >= 0:
            try:
                data = os.read(self._boot.channel, 65536)
            except BlockingIOError:
                return
            self._init.keep(data)
            for record in self._decoder.feed(data):
                self._is_unheard = False
                self._guarded(self._assembly.record, record)
                if record.kind == records.HELLO:
                    self._watch(record.pid)
            if self._init.goes_on and timing.runtime_ready(self._environment, timing.INIT):
                self._init.end()

    def _look_for_leftover(self) -> None:
        try:
            os.stat(self._boot.leftover_path)
        except OSError:
            return
        from coldspan_extension import leftover

        self._left = leftover.take(self._boot.leftover_path)

    def _deliver_leftover(self, left: bytes) -> None:
        from coldspan_extension import leftover

        environment, told = self._environment, self._assembly.earlier
        killed = leftover.environment_of(left, told, environment.init_type, environment.began_ns)
        if killed is not None:
            self._delivery.take_killed_init(killed)

    def _watch(self, pid: int) -> None:
        """Has the runtime's end noticed: both ends of the pipe are open for both sides, so no end of file tells it."""
        if self._pidfd >= 0:
            self._boot.poller.remove(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._assembly.runtime_ended(time.time_ns())
        except OSError:
            pass  # a kernel or a seccomp profile without it: telemetry or the deadline tell
        else:
            watched = self._pidfd
            self._boot.poller.add(watched, lambda: self._runtime_ended(watched))

    def _runtime_ended(self, pidfd: int) -> None:
        self._boot.poller.remove(pidfd)
        self._read_channel()  # what the process wrote before its end
        if pidfd == self._pidfd:  # else a new one said hello meanwhile
            self._assembly.runtime_ended(time.time_ns())

    def _read_telemetry(self) -> None:
        batches = self._boot.listener.take() if self._boot.listener is not None else []
        if batches:
            self._read_channel()  # as Assembly.platform asks for
        for body in batches:
            try:
                for event in parse_batch(body):
                    self._guarded(self._assembly.platform, event)
            except Unreadable as error:
                self._boot.note("telemetry_unreadable", reason=str(error))

    def _guarded(self, take: "Callable[[Any], None]", told: "Any") -> None:
        """What others tell can be anything: a fault that it leads us into costs what was told, not the loop."""
        try:
            take(told)
        except Exception as fault:
            self._boot.note("observation_lost", reason=f"{type(fault).__name__}: {fault}")

    def _enlarge_pipe(self) -> None:
        try:
            fcntl.fcntl(self._boot.channel, F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            pass  # more than an unprivileged user may have: the wrapper's backlog holds what does not fit
