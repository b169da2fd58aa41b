"""The runtime and the extensions of one initialisation (AWS: the runtime domain), and waiting for what they do.

The APIs change what is here and call `changed`; the environment waits with `until`. A reset makes a new domain.
"""

import asyncio
import uuid
from collections.abc import Callable

from coldspan_lab import clock, states
from coldspan_lab.http import Response
from coldspan_lab.invocation import Invocation
from coldspan_lab.processes import Process
from coldspan_lab.states import ExtensionAct, ExtensionState, RuntimeAct, RuntimeState

MAX_EXTENSIONS = 10
INVOKE, SHUTDOWN = "INVOKE", "SHUTDOWN"


class DeadlinePassed(Exception):
    """What was waited for did not happen in time."""


class Fault(Exception):
    """The domain cannot go on: a process ended or could not be started. `error_type` as Lambda names it."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message


class Runtime:
    """The runtime's side of the Runtime API."""

    def __init__(self) -> None:
        self.state = RuntimeState.STARTED
        self.process: Process | None = None
        self.invocation: Invocation | None = None
        self.init_error: tuple[str, bytes] | None = None
        """Type and body of a posted /init/error."""
        self.restore_error: tuple[str, bytes] | None = None
        """Type and body of a posted /restore/error."""
        self.restored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.released: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def act(self, act: RuntimeAct) -> None:
        """Raises states.NotAllowed."""
        self.state = states.advance(states.RUNTIME, self.state, act)
        if self.state is RuntimeState.READY:
            self.released = asyncio.get_running_loop().create_future()

    def restore(self) -> None:
        """Lets the runtime go on, which is in restore/next."""
        self.act(RuntimeAct.RESTORE)
        self.restored.set_result(None)

    def release(self, invocation: Invocation) -> None:
        """Hands the invocation to the runtime, which is in next."""
        self.act(RuntimeAct.RELEASE)
        self.invocation = invocation
        self.released.set_result(None)

    def close(self) -> None:
        self.restored.cancel()
        self.released.cancel()


class Extension:
    """An extension's side of the Extensions API. Without a process it is internal: part of the runtime's."""

    def __init__(self, name: str, *, external: bool) -> None:
        self.name = name
        self.external = external
        self.identifier = str(uuid.uuid4())
        self.state = ExtensionState.STARTED
        self.events: list[str] = []
        self.error_type: str | None = None
        self.process: Process | None = None
        self._next: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def act(self, act: ExtensionAct) -> None:
        """Raises states.NotAllowed."""
        self.state = states.advance(states.EXTENSION, self.state, act)

    def release(self, event: Response) -> None:
        """Hands it an event, which it gets at once if it is in next, else when it asks."""
        if self.state is ExtensionState.READY:
            self.act(ExtensionAct.RELEASE)
        if not self._next.done():
            self._next.set_result(event)

    async def next_event(self) -> Response:
        """Waits for the event without limit."""
        event = await self._next
        self._next = asyncio.get_running_loop().create_future()
        if self.state is ExtensionState.READY:  # the event was there before the question
            self.act(ExtensionAct.RELEASE)
        return event

    def close(self) -> None:
        self._next.cancel()


class Domain:
    """Everything that lives from one initialisation to the next reset."""

    def __init__(self) -> None:
        self.runtime = Runtime()
        self.extensions: dict[str, Extension] = {}
        self.registration_open = True
        self.subscription_open = True
        self.stopping = False
        """From here on an exit is no fault."""
        self.fault: Fault | None = None
        self.fatal_error: str | None = None
        """The type of the first fatal error that an extension reported; its exit then carries it."""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Cancelled when the domain is over: for calls that are never answered."""
        self._waiter: asyncio.Future[None] | None = None

    def changed(self) -> None:
        """Has `until` look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, error_type: str, message: str) -> None:
        """Remembers the first fault, unless the domain is being stopped."""
        if self.fault is None and not self.stopping:
            self.fault = Fault(error_type, message)
            self.changed()

    async def until(self, reached: Callable[[], bool], deadline_ns: int) -> None:
        """Waits for a condition on the domain. Raises Fault, DeadlinePassed."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(max(0, deadline_ns - clock.now_ns()) / 1e9, self.changed)
        try:
            while not reached():
                if self.fault is not None:
                    raise self.fault
                if clock.now_ns() >= deadline_ns:
                    raise DeadlinePassed
                self._waiter = loop.create_future()
                await self._waiter
        finally:
            timer.cancel()

    def by_identifier(self, identifier: str) -> Extension | None:
        return next((each for each in self.extensions.values() if each.identifier == identifier), None)

    def external(self) -> list[Extension]:
        return [each for each in self.extensions.values() if each.external]

    def processes(self) -> list[Process]:
        """Every process that was started: the runtime's first."""
        started = [self.runtime.process, *(each.process for each in self.extensions.values())]
        return [process for process in started if process is not None]

    def read_output(self) -> None:
        """Takes in what the processes have written so far, so that the log is in step with the calls."""
        for process in self.processes():
            process.read_output()

    def close(self) -> None:
        """Lets go of the calls to next that were never answered: their callers are dead."""
        self.closed.cancel()
        self.runtime.close()
        for extension in self.extensions.values():
            extension.close()
