"""Facts about the process, written as they happen. No fault of ours leaves it: the first one switches recording off."""

import os
import sys
import time

from coldspan_wrapper import facts, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from coldspan_wrapper.channel import Channel
    from coldspan_wrapper.imports import ImportObserver

OUTSIDE, LOADING, DECODING, HANDLING, ENCODING = "", "load", "decode", "handler", "encode"
SNAPSHOT, RESTORING = "snapshot", "restore"  # SnapStart: the function's hooks before the one and after the other
"""Where the runtime client is; the `where` of an error record."""

SMALL = 65536
"""Bytes of an event or response that is decoded, or posted, in no time: the record before it can go with the one after
it. Each write costs the response 20 µs or more, with the extension that it wakes."""


class SwitchedOff(Exception):
    """Nothing is to be recorded."""


class Recorder:
    """Observations of one process. `fault` is the first exception of our own, after which nothing is recorded."""

    def __init__(self, channel: "Channel | None") -> None:
        """Without a channel, nothing is recorded."""
        self.fault: Exception | None = SwitchedOff() if channel is None else None
        self._channel = channel
        self._invocation = 0
        self._where = OUTSIDE
        self._spent_ns = 0
        self._imports: ImportObserver | None = None
        self._samples = False

    def hello(self, started_ns: int, wall_ns: int, cpu_ns: int) -> None:
        """The process, at the wrapper's first line: its clocks there (monotonic, real time, CPU time)."""
        implementation = sys.implementation
        environ = os.environ.get
        self._write(
            records.HELLO,
            started_ns,
            wall_ns,
            cpu_ns,
            implementation.name,
            ".".join(map(str, implementation.version[:3])),
            sys.version,
            environ("_HANDLER", ""),
            environ("AWS_LAMBDA_LOG_GROUP_NAME", ""),
            environ("AWS_LAMBDA_LOG_STREAM_NAME", ""),
            environ("LAMBDA_TASK_ROOT") or os.getcwd(),
            os.path.dirname(os.__file__),
        )

    def client_found(self, name: str, version: str, problem: str = "") -> None:
        self._write(records.CLIENT, time.monotonic_ns(), name, version, problem)

    def observe_imports(self, *, samples: bool) -> None:
        """From the load of the handler's module on; `samples`: also what its body does beside importing."""
        from coldspan_wrapper.imports import ImportObserver

        self._imports = ImportObserver(self._imported, self._disable)
        self._samples = samples

    def ready(self, started_ns: int) -> None:
        """Recording is set up: all since then was our own time."""
        self._spent_ns = time.monotonic_ns() - started_ns

    def spent(self, since_ns: int) -> None:
        """Counts what ran since then as our own cost."""
        self._spent_ns += time.monotonic_ns() - since_ns

    def load_began(self) -> None:
        self._where = LOADING
        self._write(records.LOAD_BEGIN, time.monotonic_ns())
        if self._imports is None or self.fault is not None:
            return
        try:
            self._imports.install()
            if self._samples:
                self._imports.start_sampling()
        except Exception as fault:  # another import machinery, or no thread to be had
            self._imports.uninstall()
            self._disable(fault)

    def load_ended(self, error: "BaseException | None" = None) -> None:
        now = time.monotonic_ns()
        if self._imports is not None and self.fault is None:
            self._imports.stop_sampling()
        if error is not None:
            self.failed(error, fatal=not isinstance(error, Exception))
        is_snap_start = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"
        self._where = SNAPSHOT if is_snap_start and error is None else OUTSIDE
        self._write(records.LOAD_END, now)

    def restore_began(self) -> None:
        """SnapStart: the hooks before the snapshot are done, the runtime waits for its restore."""
        self._where = OUTSIDE
        self._write(records.RESTORE_BEGIN, time.monotonic_ns())

    def restore_ended(self) -> None:
        """Restored, maybe long after and on another machine: the clocks jumped. The hooks after the restore follow."""
        self._where = RESTORING
        self._write(records.RESTORE_END, time.monotonic_ns(), time.time_ns())

    def next_began(self) -> None:
        self._where = OUTSIDE
        self._write(records.NEXT_BEGIN, time.monotonic_ns())

    def next_ended(self, reply: "tuple[bytes, dict[str, str]]") -> None:
        """`reply` is what the native client's next() returns: the event's bytes and the response headers."""
        now, wall_ns = time.monotonic_ns(), time.time_ns()
        self._invocation += 1
        self._where = DECODING
        try:
            event, headers = reply
            text = {name.lower(): value or "" for name, value in headers.items()}.get
            deadline_ms = int(text("lambda-runtime-deadline-ms") or 0)
        except Exception as fault:
            return self._disable(fault)
        self._write(
            records.NEXT_END,
            now,
            wall_ns,
            text("lambda-runtime-aws-request-id", ""),
            deadline_ms,
            text("lambda-runtime-invoked-function-arn", ""),
            text("lambda-runtime-trace-id", ""),
            len(event),
            later=len(event) < SMALL,
        )

    def handler_began(self, event: object = None) -> None:
        now = time.monotonic_ns()
        self._where = HANDLING
        try:
            found = facts.of_event(event)
        except Exception as fault:
            return self._disable(fault)
        self._write(records.HANDLER_BEGIN, now, found)

    def handler_ended(self) -> None:
        """The handler returned or raised. Called again for the same invocation, it does nothing."""
        if self._where == HANDLING:
            self._where = ENCODING
            self._write(records.HANDLER_END, time.monotonic_ns())

    def response_began(self, body: object, *, error: bool = False) -> None:
        """The runtime client posts `body` to /response, or to /error."""
        now = time.monotonic_ns()
        self.handler_ended()
        size = len(body) if isinstance(body, (bytes, str)) else 0
        reported = body if error and isinstance(body, str) else ""
        self._write(records.RESPONSE_BEGIN, now, size, self._spent_ns, reported, later=size < SMALL)

    def response_ended(self, problem: str = "") -> None:
        """The Runtime API accepted the response; or `problem` says why not."""
        self._write(records.RESPONSE_END, time.monotonic_ns(), problem)
        self._where = OUTSIDE

    def stream_began(self, began_ns: int) -> None:
        """The first byte of a streamed response was written, while the handler goes on, or after it."""
        self._write(records.STREAM_BEGIN, began_ns, self._spent_ns, since_ns=time.monotonic_ns())

    def stream_ended(self, ended_ns: int, size: int, problem: str = "", reported: str = "") -> None:
        """The streamed response was accepted at `ended_ns`, or given up, and the handler is over too. `reported` is the
        error JSON that went out with it."""
        now_ns = time.monotonic_ns()
        self.handler_ended()
        self._write(records.STREAM_END, ended_ns, size, problem, reported, since_ns=now_ns)
        self._where = OUTSIDE

    def failed(self, error: BaseException, *, fatal: bool = False) -> None:
        """An exception of user code or of the runtime client, of which the process ends if it is fatal. Where
        nothing of the function runs, it is nobody's: then it is not recorded."""
        if self.fault is not None or self._where == OUTSIDE:
            return
        now, where = time.monotonic_ns(), self._where
        self.handler_ended()
        of_type, message, stack = describe(error)
        self._write(records.ERROR, now, where, of_type, message, stack[-records.MAX_TEXT :], int(fatal))

    def _imported(self, lines: str) -> None:
        """From the importing thread or the sampling one: of that one only CPU time is ours, it waits for the others."""
        if self.fault is not None:
            return
        began_ns, now_ns = time.thread_time_ns(), time.monotonic_ns()
        try:
            self._send(records.IMPORTS, now_ns, lines)
        except Exception as fault:
            self._disable(fault)
        self._spent_ns += time.thread_time_ns() - began_ns

    def _write(self, kind: int, at_ns: int, *values: "records.Value", since_ns: int = 0, later: bool = False) -> None:
        """`at_ns` is when the caller was entered, or `since_ns` is: from there on it is our own time that passes.
        `later`: with the record that follows."""
        if self.fault is not None:
            return
        try:
            self._send(kind, at_ns, *values, later=later)
        except Exception as fault:
            self._disable(fault)
        self.spent(since_ns or at_ns)

    def _send(self, kind: int, at_ns: int, *values: "records.Value", later: bool = False) -> None:
        if self._channel is not None:
            write = self._channel.keep if later else self._channel.write
            write(records.encode(kind, self._invocation, at_ns, *values))

    def _disable(self, fault: Exception) -> None:
        """Ends recording, and tells the extension why, if that much still works. What a signal handler of the user's
        raised while our code ran is not ours: it goes on to where it would have gone."""
        if _is_users(fault):
            raise fault
        if self.fault is not None:
            return
        self.fault = fault
        try:
            reason = f"{type(fault).__name__}: {fault}"
            self._send(records.DISABLED, time.monotonic_ns(), reason)
        except Exception:
            pass  # the channel itself is what broke: `fault` keeps the first reason


def _is_users(fault: Exception) -> bool:
    """Whether it was raised outside our package: all that we call in turn is ours, or C."""
    trace = fault.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and not trace.tb_frame.f_code.co_filename.startswith(_PACKAGE)


def describe(error: BaseException) -> "tuple[str, str, str]":
    """Type, message and stack of an exception, as OpenTelemetry's exception event names them.

    The type is fully qualified, built-ins bare. A fault of the runtime client, AWS's or ours, has the type and message
    that it reports to Lambda, for example Runtime.ImportModuleError. What the exception's own code raises meanwhile
    costs that part.
    """
    import traceback  # loaded already: the runtime client imports it

    of_type = type(error)
    name = of_type.__qualname__ if of_type.__module__ == "builtins" else f"{of_type.__module__}.{of_type.__qualname__}"
    message = stack = ""
    try:
        if of_type.__name__ == "FaultException" and of_type.__module__.startswith(_RUNTIME_CLIENTS):
            name, message = str(error.exception_type), str(error.msg)  # type: ignore[attr-defined]
        else:
            message = str(error)
        stack = "".join(traceback.format_exception(of_type, error, without_ours(error.__traceback__)))
    except Exception:
        pass  # its __str__ raises: the type is known at least
    return name, message, stack


def without_ours(trace: "TracebackType | None") -> "TracebackType | None":
    """The traceback without the wrapper's own frames, which an unwrapped run does not have."""
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    at = trace
    while at is not None:
        while at.tb_next is not None and _is_ours(at.tb_next):
            at.tb_next = at.tb_next.tb_next
        at = at.tb_next
    return trace


def _is_ours(trace: "TracebackType") -> bool:
    # By its globals, since some of our code bears another file's name; by its file, since scripts are all __main__.
    frame = trace.tb_frame
    module = str(frame.f_globals.get("__name__", ""))
    return module.startswith("coldspan_wrapper.") or frame.f_code.co_filename.startswith(_PACKAGE)


_RUNTIME_CLIENTS = ("awslambdaric.", "coldspan_wrapper.runtime.")
_PACKAGE = __file__.rpartition("/")[0] + "/"
