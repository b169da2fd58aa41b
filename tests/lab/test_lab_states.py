"""The state tables, pair by pair."""

from itertools import product

import pytest

from coldspan_lab import states
from coldspan_lab.states import ExtensionAct, ExtensionState, NotAllowed, RuntimeAct, RuntimeState

RUNTIME = """
Started                  Ready                     Ready
Started                  InitError                 InitError
Started                  RestoreReady              RestoreReady
RestoreReady             Restoring                 Restoring
Restoring                Ready                     Ready
Restoring                RuntimeRestoreErrorState  RuntimeRestoreErrorState
Ready                    Running                   Running
Running                  Ready                     Running
Running                  InvocationResponse        InvocationResponse
Running                  InvocationErrorResponse   InvocationErrorResponse
InvocationResponse       RuntimeResponseSentState  RuntimeResponseSentState
InvocationErrorResponse  RuntimeResponseSentState  RuntimeResponseSentState
RuntimeResponseSentState Ready                     Ready
"""

EXTENSION = """
Started     register        Registered
Started     fail_launch     LaunchError
Registered  event/next      Ready
Registered  init/error      InitError
Registered  exit/error      ExitError
Ready       release         Running
Ready       exit/error      ExitError
Running     event/next      Ready
Running     exit/error      ExitError
Running     exit            Exited
Running     fail_shutdown   ShutdownFailed
"""


def allowed(text: str) -> dict[tuple[str, str], str]:
    """What is allowed, written down a second time: state and act, and where they lead."""
    rows = [line.split() for line in text.strip().splitlines()]
    return {(state, act.replace("_", " ")): leads_to for state, act, leads_to in rows}


@pytest.mark.parametrize(("state", "act"), list(product(RuntimeState, RuntimeAct)))
def test_a_runtime_advances_as_listed_and_is_refused_otherwise(state: RuntimeState, act: RuntimeAct) -> None:
    expected = allowed(RUNTIME).get((state.value, act.value))
    if expected is None:
        with pytest.raises(NotAllowed, match=r"^State transition is not allowed$"):
            states.advance(states.RUNTIME, state, act)
    else:
        assert states.advance(states.RUNTIME, state, act).value == expected


@pytest.mark.parametrize(("state", "act"), list(product(ExtensionState, ExtensionAct)))
def test_an_extension_advances_as_listed_and_is_refused_otherwise(state: ExtensionState, act: ExtensionAct) -> None:
    expected = allowed(EXTENSION).get((state.value, act.value))
    if expected is None:
        with pytest.raises(NotAllowed):
            states.advance(states.EXTENSION, state, act)
    else:
        assert states.advance(states.EXTENSION, state, act).value == expected
