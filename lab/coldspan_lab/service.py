"""A local Lambda service for one function: its environments, and who may invoke them."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from coldspan_lab.environment import Environment
from coldspan_lab.errors import LabError, LayerInvalid
from coldspan_lab.faults import Faults
from coldspan_lab.function_url import FunctionUrl
from coldspan_lab.guard import Guard
from coldspan_lab.http import Request, Response, Server
from coldspan_lab.interpreter import Interpreter, choose_client, inspect
from coldspan_lab.invocation import Call, Invocation, new_trace_header
from coldspan_lab.invoke_api import InvokeApi
from coldspan_lab.model import (
    Answer,
    Function,
    InitType,
    InvokeMode,
    LogLine,
    Mark,
    Moment,
    Observers,
    RuntimeClient,
    TelemetryEvent,
)

__all__ = [
    "Answer",
    "Function",
    "InitType",
    "InvokeMode",
    "Lab",
    "LabError",
    "LocalLambda",
    "LogLine",
    "Mark",
    "Moment",
    "RuntimeClient",
    "TelemetryEvent",
]

API_PATH = re.compile(r"/20\d\d-\d\d-\d\d/")
"""AWS's own APIs begin with the date of their version."""
MAX_ENVIRONMENTS = 10
THROTTLED = {
    "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
    "Type": "User",
    "message": "Rate Exceeded.",
}
OVERFLOW = dict.fromkeys(InitType, InitType.ON_DEMAND) | {InitType.SNAP_START: InitType.SNAP_START}
"""How a request is served that finds the environment busy which was initialised ahead."""
T = TypeVar("T")


class LocalLambda:
    """`async with` starts it, with an environment where the function's init type has one before the first request.

    Leaving it shuts down every environment, and no process is left. An invocation that was answered may end before.
    """

    def __init__(
        self,
        function: Function,
        *,
        layer: Path | None = None,
        faults: Iterable[str] = (),
        port: int = 0,
        on_log: Callable[[LogLine], None] | None = None,
        on_event: Callable[[TelemetryEvent], None] | None = None,
    ) -> None:
        """`layer`: a tree as it would lie in /opt. `faults`: names of faults.FAULTS; those of the collector are for
        whoever has one. `port`: of `endpoint`, 0 for any that is free. The callbacks come on the event loop;
        `on_event` gets telemetry. Raises FaultUnknown.
        """
        self._faults = Faults.named(faults)
        self.timeline: list[Mark] = []
        self._function = function
        self._layer = layer.absolute() if layer is not None else None
        self._observers = Observers(on_log or _ignore, on_event or _ignore, self.timeline.append)
        self._environments: list[Environment] = []
        self._idle: list[Environment] = []
        self._waiting: dict[Environment, Invocation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._guard = Guard()
        self._interpreter: Interpreter
        self._invoke_api = InvokeApi(function, self._invoke, self._enqueue)
        self._function_url = FunctionUrl(function, self._invoke, self._say)
        self._server = Server(self._handle, port)

    @property
    def endpoint(self) -> str:
        """The Invoke API, for `boto3.client("lambda", endpoint_url=...)`; all other paths are the function's URL."""
        return f"http://{self._server.address}"

    async def __aenter__(self) -> "LocalLambda":
        """Raises LabError."""
        self._function.check()
        if self._layer is not None and not self._layer.is_dir():
            raise LayerInvalid(f"{self._layer}: expected a folder with a layer's tree, as it would lie in /opt")
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._guard)
            self._interpreter = await inspect(self._function.python)
            client = choose_client(self._function.runtime, self._interpreter, self._layer)
            self._function = replace(self._function, runtime=client)
            await self._server.start()
            stack.push_async_callback(self._server.close)
            stack.push_async_callback(self._close_environments)
            if self._function.init_type is not InitType.ON_DEMAND:
                await self._initialize_ahead()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._answered_invocations_end()
        finally:
            await self._stack.aclose()

    async def invoke(
        self, payload: bytes = b"{}", *, client_context: str | None = None, trace_header: str | None = None
    ) -> Answer:
        """Invokes the function and waits for its answer. `client_context` is plain JSON."""
        return await self._invoke(Call(payload, client_context, trace_header))

    async def wait_frozen(self) -> None:
        """Returns when no environment works any more: all are frozen, or without processes after a reset."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _handle(self, request: Request) -> Response:
        api = self._invoke_api if API_PATH.match(request.path) else self._function_url
        return await api.handle(request)

    async def _invoke(self, call: Call) -> Answer:
        invocation = self._invocation(call)
        if not self._dispatch(invocation):
            body = json.dumps(THROTTLED).encode()
            return Answer(429, body, None, invocation.request_id, None, exception="TooManyRequestsException")
        return await invocation.answer

    def _enqueue(self, call: Call) -> str:
        """An asynchronous invocation, of which the caller gets the request id only. It is not tried a second time."""
        invocation = self._invocation(call)
        if not self._dispatch(invocation):
            self._say(f"{invocation.request_id}: dropped, no environment is free")
        return invocation.request_id

    def _invocation(self, call: Call) -> Invocation:
        trace_header = call.trace_header or new_trace_header(int(time.time()))
        return Invocation(call, self._function.arn, asyncio.get_running_loop().create_future(), trace_header)

    def _dispatch(self, invocation: Invocation) -> bool:
        """Gives it to an idle environment, else to one that only has to get ready again, else to a new one."""
        if self._idle:
            self._start(self._work(self._idle.pop(), invocation))
            return True
        for environment in self._environments:
            running = environment.invocation
            if running is not None and running.answered and environment not in self._waiting:
                self._waiting[environment] = invocation
                return True
        if len(self._environments) >= MAX_ENVIRONMENTS:
            return False
        self._start(self._work(self._new_environment(OVERFLOW[self._function.init_type]), invocation, new=True))
        return True

    def _new_environment(self, init_type: InitType) -> Environment:
        function = replace(self._function, init_type=init_type)
        environment = Environment(function, self._interpreter, self._layer, self._observers, self._faults)
        self._environments.append(environment)
        return environment

    async def _initialize_ahead(self) -> None:
        """One environment, which is frozen for the time until the first request. Raises LabError."""
        environment = self._new_environment(self._function.init_type)
        await environment.start(self._guard)
        await environment.initialize()
        await environment.freeze()
        await asyncio.sleep(self._function.init_gap)
        self._idle.append(environment)

    async def _work(self, environment: Environment, invocation: Invocation, *, new: bool = False) -> None:
        """Invocations one after the other; without a next one the environment is frozen."""
        following: Invocation | None = invocation
        try:
            if new:
                await environment.start(self._guard)
                await environment.initialize()
            while following is not None:
                await environment.invoke(following)
                following = self._waiting.pop(environment, None)
        except Exception as error:
            failed = [following, self._waiting.pop(environment, None)]
            self._give_up(environment, [each for each in failed if each is not None], error)
            return
        finally:
            if following is not None:
                following.answer.cancel()
        self._idle.append(environment)
        await environment.freeze()

    def _give_up(self, environment: Environment, invocations: list[Invocation], error: Exception) -> None:
        """The lab itself has failed: its callers get that as their answer, or else the log has it."""
        if isinstance(error, LabError):
            failure = error
        else:
            failure = LabError(f"the local Lambda service failed: {error!r}")
            failure.__cause__ = error
        unanswered = [each for each in invocations if not each.answered]
        for each in unanswered:
            each.give_up(failure)
        if not unanswered:
            self._observers.log(LogLine("lab", str(failure), environment.id))

    async def _answered_invocations_end(self) -> None:
        """Shutdown would cut short what the environment still does, and make it look like the runtime's failure. What
        remains is bounded by the invocations' deadlines."""
        running = [environment.invocation for environment in self._environments]
        await asyncio.gather(*(each.ended.wait() for each in running if each is not None and each.answered))

    async def _close_environments(self) -> None:
        """Gives up what is in progress and shuts down."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for invocation in self._waiting.values():
            invocation.answer.cancel()
        await asyncio.gather(*(environment.close() for environment in self._environments))

    def _say(self, text: str) -> None:
        self._observers.log(LogLine("lab", text, ""))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Lab:
    """LocalLambda for code without an event loop of its own: the service runs in a thread. Use it with `with`."""

    def __init__(
        self,
        function: Function,
        *,
        layer: Path | None = None,
        faults: Iterable[str] = (),
        port: int = 0,
        on_log: Callable[[LogLine], None] | None = None,
        on_event: Callable[[TelemetryEvent], None] | None = None,
    ) -> None:
        """As LocalLambda, with the callbacks on the service's thread. `log` and `events` have everything anyway."""
        self.log: list[LogLine] = []
        self.events: list[TelemetryEvent] = []
        self._on_log = on_log or _ignore
        self._on_event = on_event or _ignore
        self._service = LocalLambda(
            function, layer=layer, faults=faults, port=port, on_log=self._keep_line, on_event=self._keep_event
        )
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="coldspan-lab", daemon=True)

    @property
    def endpoint(self) -> str:
        """As LocalLambda's."""
        return self._service.endpoint

    @property
    def timeline(self) -> list[Mark]:
        return self._service.timeline

    def __enter__(self) -> "Lab":
        """Raises LabError."""
        self._thread.start()
        self._started.result()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Shuts everything down; a second time does nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def invoke(
        self, payload: object = b"{}", *, client_context: str | None = None, trace_header: str | None = None
    ) -> Answer:
        """`payload` is bytes as they are, or anything that JSON can say."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self._await(self._service.invoke(data, client_context=client_context, trace_header=trace_header))

    def wait_frozen(self) -> None:
        """As LocalLambda's."""
        self._await(self._service.wait_frozen())

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with self._service:
            self._started.set_result(None)
            await self._stop.wait()

    def _keep_line(self, line: LogLine) -> None:
        self.log.append(line)
        self._on_log(line)

    def _keep_event(self, event: TelemetryEvent) -> None:
        self.events.append(event)
        self._on_event(event)


def _ignore(_: object) -> None:
    pass
