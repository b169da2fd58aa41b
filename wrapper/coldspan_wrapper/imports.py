"""Observes imports: each begin, each end, and which module-level line runs in between.

What is replaced, so that no frame of ours is on the stack while a finder, a loader or a module runs, and a statement
that imports a loaded module meets nothing of ours:

    importlib._bootstrap._ModuleLockManager            entered before a module is looked for, left when it was executed
                                                       or failed
    importlib._bootstrap._init_module_attrs            called when a module was found and created, before it is executed
    importlib._bootstrap._verbose_message              called ten times an import with texts that `python -v` alone
                                                       prints, one of them when source was compiled. Ours is cheaper
                                                       than the original, which it calls under `python -v` alone

Lines, fields separated by tabs, times in monotonic ns, threads by their ident:

    > began thread module importer line                an import that goes on; who imports and where, 0 if not known
    < began thread module importer line ended found compile origin error
                                                       one that ended; `found`: when it was found and created, 0 if it
                                                       was not; `compile`: ns from there until its source was
                                                       compiled, 0 if it had bytecode
    ~ time thread module line elapsed                  a sample: this line of a module's body was running; ns since
                                                       the look before

An import that ends before anybody wrote its begin is one line alone. The hot path keeps lists and formats them when it
writes: some 25,000 instructions a module in all, 9 % of importing one line (benchmarks/imports.py).
"""

import _frozen_importlib as bootstrap
import sys
import time
from _thread import allocate_lock, get_ident, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType
    from typing import Any

SAMPLE_EVERY_S = 0.015
PATIENCE_S = 0.1
"""With a write of the sampling thread, which takes microseconds where nothing keeps that thread waiting."""
MAX_LINES = 24
MAX_FIELD = 100
MAX_ORIGIN = 250
"""Lines of one record, and characters of their fields: together they fit it."""
MAX_IMPORTER_FRAMES = 8
MAX_OPEN_LINES = 64

_OURS = "coldspan_wrapper."
_MACHINERY = frozenset(("importlib._bootstrap", "importlib._bootstrap_external", "importlib"))

_REPLACED = ("_ModuleLockManager", "_init_module_attrs", "_verbose_message")
_COMPILED = "code object from {}"

# An import, as a list: making one is a third of making an object.
_MODULE, _BEGAN, _THREAD, _IMPORTER, _CODE, _PLACE = range(6)
_ENDED, _FOUND, _COMPILE, _ORIGIN, _ERROR, _BEGIN_WRITTEN = range(6, 12)

WRITE_EVERY_NS = 5_000_000
"""What waits is written with the next begin, if that much passed since the last time."""
LINE_FROM_NS = 1_000_000
"""The importing line is told of an import that goes on, or took 1 ms: finding one takes 5 µs in a long module."""


class ImportObserver:
    """`write` gets text of several lines. It may be called from any thread; a fault of ours goes to `fail`, after which
    nothing is observed any more."""

    def __init__(self, write: "Callable[[str], None]", fail: "Callable[[Exception], None]") -> None:
        self._write = write
        self._fail = fail
        self._waiting: list[Any] = []  # imports as lists, samples as text
        self._open: dict[str, list[Any]] = {}  # imports that go on, by module: its lock lets one thread at a time in
        self._writing = allocate_lock()
        self._sampling = False
        self._broken = False
        self._due_ns = 0  # when what waits is written with the next begin
        self._lines = _Lines()
        self._threads: dict[int, str] = {}  # the ident of the one told of last, as text
        self._originals: dict[str, Any] = {}

    def install(self) -> None:
        """From here on, for the life of the process: a handler may import too."""
        if not self._originals:
            machinery = vars(bootstrap)
            self._originals = {name: machinery[name] for name in _REPLACED}
            machinery.update(
                _ModuleLockManager=self._observed_lock(machinery["_ModuleLockManager"]),
                _init_module_attrs=self._observed_attributes(machinery["_init_module_attrs"]),
                _verbose_message=self._observed_message(machinery["_verbose_message"]),
            )

    def uninstall(self) -> None:
        vars(bootstrap).update(self._originals)
        self._originals = {}

    def start_sampling(self) -> None:
        """Looks every 15 ms which line of a module's body this thread runs, and writes what waits."""
        self._sampling = True
        start_new_thread(self._sample, (get_ident(),))

    def stop_sampling(self) -> None:
        """The process may be about to end, and what its sampling thread is writing with it, or is yet to write for this
        one (channel.py)."""
        self._sampling = False
        if self._writing.acquire(timeout=PATIENCE_S):
            self._writing.release()
        self.flush()

    def flush(self) -> None:
        """Writes what waits, unless another thread is doing it."""
        if not self._waiting or self._broken or not self._writing.acquire(blocking=False):
            return
        try:
            while self._waiting:
                some = self._waiting[:MAX_LINES]
                del self._waiting[: len(some)]  # whoever appends meanwhile appends behind
                self._write("\n".join(map(self._line, some)))
            self._due_ns = time.monotonic_ns() + WRITE_EVERY_NS
        except Exception as fault:
            self._broke(fault)
        finally:
            self._writing.release()

    def _broke(self, fault: Exception) -> None:
        self._fail(fault)
        self.uninstall()
        self._broken, self._sampling = True, False

    def _observed_lock(self, base: "Any") -> type:
        enter, leave, modules = base.__enter__, base.__exit__, sys.modules
        open_, waiting, getframe, now_ns = self._open, self._waiting, sys._getframe, time.monotonic_ns

        class _ModuleLockManager(base):  # type: ignore[misc]
            _import: "list[Any] | None" = None

            def __enter__(lock) -> "Any":  # noqa: N805 - `self` is the observer
                name = lock._name
                # Else it is loaded already, or being loaded: by a circle, or by another thread.
                if name not in modules and not name.startswith(_OURS):
                    try:
                        frame = getframe(2)  # 0 is this, 1 _find_and_load; an import statement is right behind
                        importer = frame.f_globals.get("__name__")
                        if importer in _MACHINERY:
                            frame = _importer(frame)
                            importer = frame.f_globals.get("__name__")
                        began_ns = now_ns()
                        code, place = frame.f_code, frame.f_lasti
                        began = [name, began_ns, get_ident(), importer, code, place, 0, 0, 0, "", "", False]
                        lock._import = began
                        waiting.append(began)
                        open_.setdefault(name, began)
                        if began_ns > self._due_ns:
                            self.flush()  # the process may die of what comes now
                    except Exception as fault:
                        self._broke(fault)
                return enter(lock)

            def __exit__(lock, of_type: "Any", error: "Any", trace: "Any") -> "Any":  # noqa: N805
                left = leave(lock, of_type, error, trace)
                ended = lock._import
                if ended is not None:
                    try:
                        ended[_ENDED] = now_ns()
                        if error is not None:
                            ended[_ERROR] = _describe(error)  # not the exception: its frames hold what users have
                        if ended[_BEGIN_WRITTEN]:
                            waiting.append(ended)
                        if open_.get(ended[_MODULE]) is ended:
                            del open_[ended[_MODULE]]
                        if not open_ or len(waiting) >= MAX_LINES:
                            self.flush()
                    except Exception as fault:
                        self._broke(fault)
                return left

        return _ModuleLockManager

    def _observed_attributes(self, original: "Any") -> "Callable[..., Any]":
        open_, now_ns = self._open, time.monotonic_ns

        def _init_module_attrs(spec: "Any", module: "Any", **options: "Any") -> "Any":
            done = original(spec, module, **options) if options else original(spec, module)
            try:
                found = open_.get(spec.name)  # none where somebody makes a module by hand
                if found is not None:
                    found[_FOUND] = now_ns()
                    found[_ORIGIN] = spec.origin
            except Exception as fault:
                self._broke(fault)
            return done

        return _init_module_attrs

    def _observed_message(self, original: "Any") -> "Callable[..., Any]":
        open_, now_ns, verbose = self._open, time.monotonic_ns, sys.flags.verbose

        def _verbose_message(message: str, *args: "Any", verbosity: int = 1) -> None:
            if message == _COMPILED:
                try:
                    for found in list(open_.values()):
                        if found[_ORIGIN] == args[0]:
                            found[_COMPILE] = now_ns() - found[_FOUND]
                except Exception as fault:
                    self._broke(fault)
            if verbose:
                original(message, *args, verbosity=verbosity)

        return _verbose_message

    def _sample(self, thread: int, sleep: "Callable[[float], None]" = time.sleep) -> None:
        try:
            lines, looked_ns = _Lines(), time.monotonic_ns()
            while self._sampling:
                sleep(SAMPLE_EVERY_S)
                place, before_ns = _module_body(sys._current_frames().get(thread), lines), looked_ns
                looked_ns = time.monotonic_ns()
                if place is not None and self._sampling:
                    module, line = place
                    self._waiting.append(
                        f"~\t{looked_ns}\t{thread}\t{module[-MAX_FIELD:]}\t{line}\t{looked_ns - before_ns}"
                    )
                self.flush()
        except Exception as fault:
            self._broke(fault)

    def _line(self, item: "Any") -> str:
        """Joined, and numbers by repr: a format string takes nearly twice as long."""
        if isinstance(item, str):
            return item
        module, began_ns, ident, importer, code, place, ended_ns, found_ns, compile_ns, origin, error, _ = item
        if len(module) > MAX_FIELD:
            module = module[:MAX_FIELD]
        if not isinstance(importer, str) or len(importer) > MAX_FIELD:
            importer = str(importer or "")[:MAX_FIELD]
        thread = self._threads.get(ident)
        if thread is None:
            self._threads = {ident: (thread := str(ident))}
        if not ended_ns:
            # Before the second look: what ends meanwhile is told twice then, and not never.
            item[_BEGIN_WRITTEN] = True
            ended_ns = item[_ENDED]
            if not ended_ns:
                return "\t".join((">", repr(began_ns), thread, module, importer, repr(self._lines.at(code, place))))
        line = "0" if ended_ns < began_ns + LINE_FROM_NS else repr(self._lines.at(code, place))
        if not isinstance(origin, str):  # some finder's own
            origin = ""
        elif len(origin) > MAX_ORIGIN:
            origin = origin[-MAX_ORIGIN:]
        compiled = repr(compile_ns) if compile_ns else "0"
        times = (repr(ended_ns), repr(found_ns), compiled)
        return "\t".join(("<", repr(began_ns), thread, module, importer, line, *times, origin, error))


def _importer(frame: "FrameType") -> "FrameType":
    """The frame that imports, behind those of the import machinery."""
    for _ in range(MAX_IMPORTER_FRAMES):
        if frame.f_back is None or frame.f_globals.get("__name__") not in _MACHINERY:
            break
        frame = frame.f_back
    return frame


class _Lines:
    """Line numbers of instructions by their offset, for one thread. A module runs from its top to its end, so each look
    goes on where the last one ended: from the top, one in a module of a thousand lines takes 60 µs."""

    def __init__(self) -> None:
        self._by_code: dict[int, tuple[CodeType, Iterator[tuple[int, int, int | None]], list[int]]] = {}

    def at(self, code: "CodeType", place: int) -> int:
        """0 if there is none."""
        known = self._by_code.get(id(code))
        if known is None or place < known[2][0]:
            if len(self._by_code) >= MAX_OPEN_LINES:
                self._by_code.clear()
            known = self._by_code[id(code)] = (code, code.co_lines(), [0, 0, 0])
        _, lines, found = known
        while not found[0] <= place < found[1]:
            begin, end, line = next(lines, (0, sys.maxsize, 0))
            found[:] = begin, end, line or 0
        return found[2]


def _module_body(frame: "FrameType | None", lines: _Lines) -> "tuple[str, int] | None":
    """The innermost module body that runs, and its line; None where it imports: that has an import's own times."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>":
            module = frame.f_globals.get("__name__")
            if not isinstance(module, str) or module == "__main__":
                return None
            return module, lines.at(code, frame.f_lasti)
        if code.co_filename.startswith("<frozen importlib"):
            return None
        frame = frame.f_back
    return None


def _describe(error: BaseException) -> str:
    """Its type, and the message of those whose text runs no user code."""
    text = type(error).__name__
    if type(error) in (ImportError, ModuleNotFoundError, SyntaxError, IndentationError):
        text = f"{text}: {error}"
    return " ".join(text.split())[:MAX_FIELD]
