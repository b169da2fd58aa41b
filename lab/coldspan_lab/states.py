"""The states of the runtime and of an extension, as tables. What a table does not list is not allowed.

Names are those of AWS's runtime interface emulator (internal/lambda/core), since they appear in error messages and in
platform.extension.
"""

from enum import Enum
from typing import TypeVar


class RuntimeState(str, Enum):
    STARTED = "Started"
    INIT_ERROR = "InitError"
    RESTORE_READY = "RestoreReady"
    RESTORING = "Restoring"
    RESTORE_ERROR = "RuntimeRestoreErrorState"
    READY = "Ready"
    RUNNING = "Running"
    INVOCATION_RESPONSE = "InvocationResponse"
    INVOCATION_ERROR_RESPONSE = "InvocationErrorResponse"
    RESPONSE_SENT = "RuntimeResponseSentState"


class RuntimeAct(Enum):
    """A call of the runtime, or what the platform does to it; the value is the state it asks for."""

    INIT_ERROR = "InitError"
    RESTORE_NEXT = "RestoreReady"
    RESTORE = "Restoring"
    RESTORE_ERROR = "RuntimeRestoreErrorState"
    NEXT = "Ready"
    RELEASE = "Running"
    RESPONSE = "InvocationResponse"
    ERROR = "InvocationErrorResponse"
    SENT = "RuntimeResponseSentState"


class ExtensionState(str, Enum):
    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    SHUTDOWN_FAILED = "ShutdownFailed"
    EXITED = "Exited"
    LAUNCH_ERROR = "LaunchError"


class ExtensionAct(Enum):
    """A call of the extension, or what the platform does to it or sees of it."""

    REGISTER = "register"
    NEXT = "event/next"
    INIT_ERROR = "init/error"
    EXIT_ERROR = "exit/error"
    RELEASE = "release"
    EXIT = "exit"
    FAIL_SHUTDOWN = "fail shutdown"
    FAIL_LAUNCH = "fail launch"


RUNTIME: dict[tuple[RuntimeState, RuntimeAct], RuntimeState] = {
    (RuntimeState.STARTED, RuntimeAct.NEXT): RuntimeState.READY,
    (RuntimeState.STARTED, RuntimeAct.INIT_ERROR): RuntimeState.INIT_ERROR,
    (RuntimeState.STARTED, RuntimeAct.RESTORE_NEXT): RuntimeState.RESTORE_READY,
    (RuntimeState.RESTORE_READY, RuntimeAct.RESTORE): RuntimeState.RESTORING,
    (RuntimeState.RESTORING, RuntimeAct.NEXT): RuntimeState.READY,
    (RuntimeState.RESTORING, RuntimeAct.RESTORE_ERROR): RuntimeState.RESTORE_ERROR,
    (RuntimeState.READY, RuntimeAct.RELEASE): RuntimeState.RUNNING,
    (RuntimeState.RUNNING, RuntimeAct.NEXT): RuntimeState.RUNNING,  # gets the same event again
    (RuntimeState.RUNNING, RuntimeAct.RESPONSE): RuntimeState.INVOCATION_RESPONSE,
    (RuntimeState.RUNNING, RuntimeAct.ERROR): RuntimeState.INVOCATION_ERROR_RESPONSE,
    (RuntimeState.INVOCATION_RESPONSE, RuntimeAct.SENT): RuntimeState.RESPONSE_SENT,
    (RuntimeState.INVOCATION_ERROR_RESPONSE, RuntimeAct.SENT): RuntimeState.RESPONSE_SENT,
    (RuntimeState.RESPONSE_SENT, RuntimeAct.NEXT): RuntimeState.READY,
}

EXTENSION: dict[tuple[ExtensionState, ExtensionAct], ExtensionState] = {
    (ExtensionState.STARTED, ExtensionAct.FAIL_LAUNCH): ExtensionState.LAUNCH_ERROR,
    (ExtensionState.STARTED, ExtensionAct.REGISTER): ExtensionState.REGISTERED,
    (ExtensionState.REGISTERED, ExtensionAct.NEXT): ExtensionState.READY,
    (ExtensionState.REGISTERED, ExtensionAct.INIT_ERROR): ExtensionState.INIT_ERROR,
    (ExtensionState.REGISTERED, ExtensionAct.EXIT_ERROR): ExtensionState.EXIT_ERROR,
    (ExtensionState.READY, ExtensionAct.RELEASE): ExtensionState.RUNNING,
    (ExtensionState.READY, ExtensionAct.EXIT_ERROR): ExtensionState.EXIT_ERROR,
    (ExtensionState.RUNNING, ExtensionAct.NEXT): ExtensionState.READY,
    (ExtensionState.RUNNING, ExtensionAct.EXIT_ERROR): ExtensionState.EXIT_ERROR,
    (ExtensionState.RUNNING, ExtensionAct.EXIT): ExtensionState.EXITED,
    (ExtensionState.RUNNING, ExtensionAct.FAIL_SHUTDOWN): ExtensionState.SHUTDOWN_FAILED,
}

EXTENSION_ASKS_FOR = {
    ExtensionAct.REGISTER: ExtensionState.REGISTERED,
    ExtensionAct.NEXT: ExtensionState.READY,
    ExtensionAct.INIT_ERROR: ExtensionState.INIT_ERROR,
    ExtensionAct.EXIT_ERROR: ExtensionState.EXITED,  # so the emulator's message has it, not "ExitError"
}
"""The state that a refused call's error message names as its aim."""


class NotAllowed(Exception):
    """The act is not listed for the state."""

    def __init__(self) -> None:
        super().__init__("State transition is not allowed")


State = TypeVar("State", RuntimeState, ExtensionState)
Act = TypeVar("Act", RuntimeAct, ExtensionAct)


def advance(table: dict[tuple[State, Act], State], state: State, act: Act) -> State:
    """The state that `act` leads to. Raises NotAllowed."""
    try:
        return table[state, act]
    except KeyError:
        raise NotAllowed from None
