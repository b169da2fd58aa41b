"""One execution environment through its life: init, invocations with a freeze between them, resets, shutdown.

Everything runs on one event loop and one call is in progress at a time; the APIs change the domain, and this waits.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
import uuid
from pathlib import Path

from coldspan_lab import clock, platform_events, restore, shutdown
from coldspan_lab.api import JSON, Refused, error
from coldspan_lab.cgroups import Confinement, confine
from coldspan_lab.domain import INVOKE, DeadlinePassed, Domain, Extension, Fault
from coldspan_lab.extensions_api import ExtensionsApi
from coldspan_lab.faults import Faults
from coldspan_lab.guard import Guard
from coldspan_lab.http import LOOPBACK, Request, Response, Server
from coldspan_lab.interpreter import Interpreter
from coldspan_lab.invocation import UNHANDLED, Invocation, invoke_event
from coldspan_lab.launch import Launcher
from coldspan_lab.model import Function, InitType, LogLine, Mark, Moment, Observers, TelemetryEvent
from coldspan_lab.platform_events import StartDuration
from coldspan_lab.runtime_api import RUNTIME, RuntimeApi
from coldspan_lab.sandbox import Sandbox
from coldspan_lab.states import ExtensionState, RuntimeState
from coldspan_lab.telemetry import Telemetry

MB_PER_CPU = 1769
INITIALIZED = (RuntimeState.READY, RuntimeState.RESTORE_READY)
INVOCATION = f"{RUNTIME}/invocation/"


class Environment:
    """`start` comes first, `close` last."""

    def __init__(
        self, function: Function, interpreter: Interpreter, layer: Path | None, observers: Observers, faults: Faults
    ) -> None:
        self.id = secrets.token_hex(16)
        self.invocation: Invocation | None = None
        """The one in progress, until all are ready for the next."""
        self.frozen = False
        self._function = function
        self._observers = observers
        self._folder = Path(tempfile.mkdtemp(prefix="coldspan-"))
        self._server = Server(self._handle)
        self._faults = faults
        self._telemetry = Telemetry(self._on_event, faults.route, json_logs=function.log_format == "JSON")
        self._interpreter = interpreter
        self._layer = layer
        self._domain: Domain | None = None
        self._unreported_start: StartDuration | None = None
        self._is_snapshot = False
        """The next invocation restores it."""
        self._peak_memory_mib = 0

    async def start(self, guard: Guard) -> None:
        """Opens the APIs; no process is started yet. Raises LabError."""
        await self._server.start()
        self._sandbox = Sandbox(
            self._function,
            self._interpreter,
            self._layer,
            address=self._server.address,
            metadata_token=secrets.token_urlsafe(24),
            log_stream=f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{self._function.version}]{self.id}",
            channel=self._folder / "channel",
            listen=f"{LOOPBACK}:{_free_port()}",
        )
        memory_mb = self._function.memory_mb if self._function.limit_resources else None
        self._confinement: Confinement = confine(f"coldspan-{self.id}", memory_mb, self._say)
        guard.watch(self._sandbox.channel, self._confinement.folders)
        self._launcher = Launcher(self._sandbox, self._confinement, self._on_line, self._mark)

    async def initialize(self) -> None:
        """The first init. Where it fails, the first invocation initialises anew."""
        started_ns = clock.now_ns()
        try:
            limit_s = self._faults.limit_s(Moment.RUNTIME_SPAWNED, self._function.init_limit)
            await self._initialize("init", started_ns + int(limit_s * 1e9))
            self._is_snapshot = self._function.init_type is InitType.SNAP_START
            if not self._is_snapshot:
                on_demand = self._function.init_type is not InitType.PROVISIONED_CONCURRENCY
                took_ms = clock.duration_ms(started_ns, clock.now_ns())
                self._unreported_start = StartDuration("initDurationMs", took_ms, billed=on_demand)
        except Fault:
            await self._end_domain("failure")
        except DeadlinePassed:
            await self._end_domain(None)

    async def invoke(self, invocation: Invocation) -> None:
        """Returns when the environment is free again; the invocation has its answer earlier."""
        self.invocation = invocation
        try:
            if await self._restored(invocation):
                self.thaw()
                await self._serve(invocation)
        finally:
            invocation.finish()
            self.invocation = None

    async def freeze(self) -> None:
        """Stops all processes, if there are any, until `thaw`."""
        if self._domain is not None:
            self._telemetry.gate.close()
            self.frozen = True
            await self._confinement.freeze()
            if self.frozen:
                self._mark(Moment.FROZEN)

    def thaw(self) -> None:
        if self.frozen:
            self.frozen = False
            self._confinement.thaw()
            self._mark(Moment.THAWED)
            self._telemetry.gate.open()

    async def close(self) -> None:
        """Shuts down with reason spindown; nothing of the environment is left afterwards."""
        self.thaw()
        if self._domain is not None:
            self._mark(Moment.SHUTDOWN_BEGUN)
            await self._end_domain("spindown")
            self._mark(Moment.SHUTDOWN_DONE)
        self._telemetry.close()
        await self._server.close()
        self._confinement.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _restored(self, invocation: Invocation) -> bool:
        """Restores a snapshot, if this is one; False where that fails, and the invocation has been refused."""
        domain = self._domain
        if not self._is_snapshot or domain is None:
            return True
        self._is_snapshot = False
        record = platform_events.restore_start(self._function, self._runtime_version, self._sandbox.log_stream)
        self._telemetry.emit("platform.restoreStart", record)
        limit_s = self._faults.limit_s(Moment.RESTORE_BEGUN, self._function.restore_limit_s)
        self.thaw()
        self._mark(Moment.RESTORE_BEGUN)
        try:
            took_ms = await restore.restore(domain, limit_s, self._telemetry.emit)
        except (Fault, DeadlinePassed) as failure:
            domain.read_output()
            restore.refuse(invocation, failure)
            await self._end_domain("timeout" if isinstance(failure, DeadlinePassed) else "failure")
            return False
        self._mark(Moment.RESTORED)
        self._unreported_start = StartDuration("restoreDurationMs", took_ms, billed=False)
        return True

    async def _serve(self, invocation: Invocation) -> None:
        """From the begin of the function timeout until all are ready for the next invocation, or gone."""
        invocation.begin(self._function.timeout_s)
        try:
            try:
                if self._domain is None:
                    await self._initialize("invoke", invocation.deadline_ns, invocation)
            finally:
                self._telemetry.emit("platform.start", platform_events.start(invocation, self._function.version))
            await self._run(invocation)
            self._report(invocation, "success", None, clock.now_ns())
        except (Fault, DeadlinePassed) as failure:
            await self._reset(invocation, failure)

    async def _initialize(self, phase: str, deadline_ns: int, invocation: Invocation | None = None) -> None:
        """Starts everything anew. Raises Fault, DeadlinePassed; processes may then be alive still."""
        started_ns = clock.now_ns()
        domain = self._open_domain(invocation)
        init_type = self._function.init_type
        begun = platform_events.init_start(self._function, phase, self._runtime_version, self._sandbox.log_stream)
        self._telemetry.emit("platform.initStart", begun)
        status, error_type = "success", None
        self._limit_cpu(boosted=phase == "init")
        try:
            await self._bring_up(domain, deadline_ns)
            if phase == "invoke" and domain.runtime.state is RuntimeState.RESTORE_READY:
                # Nothing was snapped: after a reset, what is parked here goes straight on to the invocation.
                domain.runtime.restore()
                await domain.until(lambda: domain.runtime.state is RuntimeState.READY, deadline_ns)
        except Fault as fault:
            posted = domain.runtime.init_error
            status, error_type = "error", posted[0] if posted is not None else fault.error_type
            raise
        except DeadlinePassed:
            status = "timeout"
            raise
        finally:
            self._limit_cpu(boosted=False)
            if error_type != "Extension.LaunchError":
                done = platform_events.init_runtime_done(init_type, phase, status, error_type)
                self._telemetry.emit("platform.initRuntimeDone", done)
            for each in domain.extensions.values():
                record = platform_events.extension(each.name, each.state.value, each.events, each.error_type)
                self._telemetry.emit("platform.extension", record)
            took_ms = clock.duration_ms(started_ns, clock.now_ns())
            report = platform_events.init_report(init_type, phase, status, error_type, took_ms)
            self._telemetry.emit("platform.initReport", report)
        self._mark(Moment.INIT_DONE)

    def _open_domain(self, invocation: Invocation | None) -> Domain:
        domain = self._domain = Domain()
        domain.runtime.invocation = invocation
        self._runtime_api = RuntimeApi(
            domain,
            self._mark,
            self._sandbox.metadata_token,
            refuses=self._faults.refuse,
            restores=self._function.init_type is InitType.SNAP_START,
        )
        extensions_api = ExtensionsApi(domain, self._function, self._telemetry, self._mark)
        self._routes = {**self._runtime_api.routes, **extensions_api.routes}
        self._telemetry.keep_history()
        self._telemetry.gate.open()
        return domain

    async def _bring_up(self, domain: Domain, deadline_ns: int) -> None:
        """The order in which Lambda starts things. Raises Fault, DeadlinePassed."""
        self._launcher.start_extensions(domain)
        await domain.until(
            lambda: all(each.state is not ExtensionState.STARTED for each in domain.external()), deadline_ns
        )
        self._launcher.start_runtime(domain)
        await domain.until(lambda: domain.runtime.state in INITIALIZED, deadline_ns)
        domain.registration_open = False
        await domain.until(lambda: _ready(list(domain.extensions.values())), deadline_ns)
        domain.subscription_open = False
        self._telemetry.forget_history()

    async def _run(self, invocation: Invocation) -> None:
        """Hands the invocation out and waits until everyone is ready for the next. Raises Fault, DeadlinePassed."""
        domain = self._domain
        assert domain is not None
        self._mark(Moment.INVOCATION_BEGUN, invocation.request_id)
        subscribed = [each for each in domain.extensions.values() if INVOKE in each.events]
        body = invoke_event(invocation)
        for extension in sorted(subscribed, key=lambda each: not each.external):
            headers = (("Lambda-Extension-Event-Identifier", str(uuid.uuid4())), JSON)
            extension.release(Response(200, body, headers))
        invocation.sent_ns = clock.now_ns()
        domain.runtime.release(invocation)
        await domain.until(lambda: domain.runtime.state is RuntimeState.READY, invocation.deadline_ns)
        self._mark(Moment.RUNTIME_READY, invocation.request_id)
        done = platform_events.runtime_done(invocation, "success", None, invocation.runtime_ready_ns)
        self._telemetry.emit("platform.runtimeDone", done)
        if domain.extensions:
            await domain.until(lambda: _ready(subscribed), invocation.deadline_ns)
            invocation.extensions_ready_ns = clock.now_ns()
            self._mark(Moment.EXTENSIONS_READY, invocation.request_id)
        domain.runtime.invocation = None

    async def _reset(self, invocation: Invocation, failure: Fault | DeadlinePassed) -> None:
        """Answers, ends all processes, and leaves the environment to be initialised by the next invocation."""
        domain = self._domain
        assert domain is not None
        domain.read_output()
        if isinstance(failure, Fault):
            end_ns, reason, status, error_type = clock.now_ns(), "failure", "error", failure.error_type
            if domain.runtime.init_error is not None:
                error_type, body = domain.runtime.init_error
                invocation.respond(body, UNHANDLED)
            invocation.fail(error_type, failure.message)
            record = platform_events.fault(invocation, error_type, failure.message)
            self._telemetry.emit("platform.fault", record)
        else:
            end_ns, reason, status, error_type = invocation.deadline_ns, "timeout", "timeout", None
            limit = f"Task timed out after {self._function.timeout_s:.2f} seconds"
            invocation.fail("Sandbox.Timedout", limit)
        done = platform_events.runtime_done(invocation, status, error_type, end_ns)
        self._telemetry.emit("platform.runtimeDone", done)
        await self._end_domain(reason)
        self._report(invocation, status, error_type, end_ns)

    async def _end_domain(self, reason: str | None) -> None:
        """In Lambda's order; without a reason at once."""
        domain = self._domain
        assert domain is not None
        self._sample_memory()
        self._telemetry.flush()
        if reason is None:
            await shutdown.kill(domain)
        else:
            await shutdown.stop(domain, reason)
        self._kill_stragglers()
        self._telemetry.gate.close()
        domain.close()
        self._domain = None

    def _kill_stragglers(self) -> None:
        """What left its process group, as far as the cgroup knows it."""
        for pid in self._confinement.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _report(self, invocation: Invocation, status: str, error_type: str | None, end_ns: int) -> None:
        if error_type == "Runtime.OutOfMemory":
            self._peak_memory_mib = self._function.memory_mb
        elif self._domain is not None:
            self._sample_memory()
        record = platform_events.report(
            invocation,
            status,
            error_type,
            end_ns=end_ns,
            memory_mb=self._function.memory_mb,
            max_memory_used_mb=self._peak_memory_mib,
            environment_start=self._unreported_start,
        )
        self._unreported_start = None
        self._telemetry.emit("platform.report", record)

    def _sample_memory(self) -> None:
        assert self._domain is not None
        resident = sum(process.peak_memory_mib() for process in self._domain.processes())
        self._peak_memory_mib = max(self._peak_memory_mib, self._confinement.peak_memory_mib() or resident)

    @property
    def _runtime_version(self) -> str:
        return f"python:{self._interpreter.version}"

    def _limit_cpu(self, *, boosted: bool) -> None:
        """A share as the memory gives it; a first init gets one CPU at least."""
        if self._confinement.limited:
            share = self._function.memory_mb / MB_PER_CPU
            self._confinement.set_cpu_share(max(1.0, share) if boosted else share)

    async def _handle(self, request: Request) -> Response:
        """Every request to the environment's APIs."""
        if self._domain is None:
            return error(500, "InternalServerError", "Internal Server Error")
        if request.path.startswith(f"{RUNTIME}/"):
            await self._faults.before_call(self._domain)
        try:
            call = self._routes.get((request.method, request.path))
            if call is not None:
                return await call(request)
            request_id, _, act = request.path.removeprefix(INVOCATION).partition("/")
            if request.method == "POST" and request.path.startswith(INVOCATION) and act in ("response", "error"):
                return await self._runtime_api.invocation_call(request, request_id, act)
        except Refused as refused:
            return refused.response
        return Response(404, b"404 page not found\n", (("Content-Type", "text/plain; charset=utf-8"),))

    def _on_event(self, event: TelemetryEvent) -> None:
        self._observers.event(event)
        if event["type"] in ("function", "extension"):
            return
        text = platform_events.log_line(event, self._function.log_format)
        for line in text.split("\n") if text is not None else ():
            self._log("platform", line)

    def _on_line(self, source: str, line: str) -> None:
        self._telemetry.emit(source, line)
        self._log(source, line)

    def _log(self, source: str, text: str) -> None:
        if self.invocation is not None:
            self.invocation.log(text)
        self._observers.log(LogLine(source, text, self.id))

    def _say(self, text: str) -> None:
        self._observers.log(LogLine("lab", text, self.id))

    def _mark(self, what: Moment, request_id: str | None = None) -> None:
        self._observers.mark(Mark(time.time_ns(), self.id, what, request_id))
        if self._domain is not None:
            self._faults.saw(what, self._domain)


def _ready(extensions: list[Extension]) -> bool:
    return all(extension.state is ExtensionState.READY for extension in extensions)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
