"""Runs the runtime's own command in this process, as the interpreter would have, with the recorder attached.

Whatever of ours fails before the command runs, the command is exec'ed as it was given: unobserved, and unharmed.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, TracebackType
    from typing import Any, NoReturn

    from coldspan_wrapper.recorder import Recorder


def main(clocks: "tuple[int, int, int]", start: str, writes_bytecode: bool) -> None:
    """`clocks` are those of the first line (monotonic, real time, CPU time, ns), `start` is the file we began with.

    sys.argv is [start, *target], target being `script argument...` or `-m module argument...`.
    """
    target = sys.argv[1:]
    command = [sys.orig_argv[0], *(argument for argument in sys.orig_argv[1:] if argument != start)]
    recorder = None
    try:
        code = None if target[0] == "-m" else _compile(target[0])
        recorder = _observe(clocks)
        _restore_process(target, command)
        sys.dont_write_bytecode = not writes_bytecode
        recorder.ready(clocks[0])
    except Exception:
        exec_untouched(command)
    try:
        if code is None:
            import runpy  # as `python -m` does

            runpy._run_module_as_main(target[1])  # type: ignore[attr-defined]
        else:
            exec(code, sys.modules["__main__"].__dict__)  # noqa: S102 - the runtime's own script
    except BaseException as error:
        recorder.failed(error, fatal=True)
        if not isinstance(error, SystemExit):  # of which nothing is printed
            _hide_our_frames()
        raise


def exec_untouched(command: "list[str]") -> "NoReturn":
    """Becomes the command that we were put in front of."""
    os.execv(sys.executable or "/proc/self/exe", command)


def _observe(clocks: "tuple[int, int, int]") -> "Recorder":
    from coldspan_wrapper import awslambdaric, recording

    recorder = recording.start(clocks)
    awslambdaric.observe(recorder)
    return recorder


def _compile(script: str) -> "CodeType":
    with open(script, "rb") as file:
        code: CodeType = compile(file.read(), script, "exec", dont_inherit=True)
    return code


def _restore_process(target: "list[str]", command: "list[str]") -> None:
    """argv, path and __main__ as in an unwrapped start of `command`."""
    ours = os.path.dirname(os.path.dirname(__file__))
    sys.path.remove(ours)
    for entry in [entry for entry in sys.path_importer_cache if entry.startswith(ours)]:
        del sys.path_importer_cache[entry]
    sys.orig_argv[:] = command
    module = target[0] == "-m"
    sys.argv[:] = ["-m", *target[2:]] if module else target
    namespace = sys.modules["__main__"].__dict__
    for name in [name for name in namespace if not name.startswith("__")]:
        del namespace[name]
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        # The interpreter put the folder of our start.py first.
        sys.path[0] = os.getcwd() if module else os.path.dirname(os.path.realpath(target[0]))
    if not module:
        path = os.path.join(os.getcwd(), target[0])
        sys.path_importer_cache.setdefault(path, None)  # the interpreter looked whether it is a folder or zip file
        namespace["__file__"] = path
        namespace["__loader__"] = type(namespace["__loader__"])("__main__", path)


def _hide_our_frames() -> None:
    """Has the traceback that is about to be printed show what an unwrapped process would show.

    Our frames are below everything that the runtime does, so they are on every uncaught exception's stack; the
    interpreter alone shall print it, since it also knows the exit code and runs what is to run at exit.
    """
    original = sys.excepthook

    def excepthook(of_type: "type[BaseException]", error: BaseException, trace: "TracebackType | None") -> "Any":
        sys.excepthook = original
        try:
            from coldspan_wrapper.recorder import without_ours

            trace = sys.last_traceback = without_ours(trace)
            error.__traceback__ = trace
        except Exception:
            pass  # then the traceback has two frames more
        return original(of_type, error, trace)

    sys.excepthook = excepthook
