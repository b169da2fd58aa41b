"""SnapStart: the function's hooks, registered with AWS's package snapshot_restore_py, around the snapshot."""

import sys

from coldspan_wrapper.runtime.encoding import to_json
from coldspan_wrapper.runtime.errors import Error, FaultException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldspan_wrapper.recorder import Recorder
    from coldspan_wrapper.runtime.api import RuntimeApi
    from coldspan_wrapper.runtime.logs import Log

EXIT_BEFORE_SNAPSHOT, EXIT_AFTER_RESTORE = 64, 65


def park(api: "RuntimeApi", recorder: "Recorder", log: "Log") -> None:
    """Runs the hooks, is in the snapshot, and returns after the restore. Exits where a hook fails."""
    hooks: Any = sys.modules.get("snapshot_restore_py")  # not imported by the function: then there are none
    try:
        before = hooks.get_before_snapshot() if hooks else []
        while before:
            _call(before.pop())
        recorder.restore_began()
        api.wait_for_restore()
        recorder.restore_ended()
    except BaseException as error:
        report = _report(error, recorder, log)
        api.fail_init(report, FaultException.BEFORE_SNAPSHOT_ERROR)
        sys.exit(EXIT_BEFORE_SNAPSHOT)
    try:
        for hook in hooks.get_after_restore() if hooks else ():
            _call(hook)
    except BaseException as error:
        report = _report(error, recorder, log)
        api.fail_restore(report, FaultException.AFTER_RESTORE_ERROR)
        sys.exit(EXIT_AFTER_RESTORE)


def _call(hook: "tuple[Any, tuple[Any, ...], dict[str, Any]]") -> None:
    function, arguments, named = hook
    function(*arguments, **named)


def _report(error: BaseException, recorder: "Recorder", log: "Log") -> bytes:
    recorder.failed(error)
    report = Error(error).report()
    log.error(report)
    return to_json(report).encode()
