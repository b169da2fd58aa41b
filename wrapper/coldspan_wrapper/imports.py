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

    > began thread module line importer
                                an import that goes on; who imports and at which line, 0 if not known
    < began thread module took finding compile line importer error origin
                                one that ended; `finding`: ns until it was found and created, 0 if it was not;
                                `compile`: ns from there until its source was compiled, 0 if it had bytecode
    ~ time thread module line elapsed
                                a sample: this line of a module's body was running; ns since the look before

An import that ends before anybody wrote its begin is one line alone.
"""

import _frozen_importlib as bootstrap
import sys
import time
from _thread import allocate_lock, get_ident, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

SAMPLE_EVERY_S = 0.015
PATIENCE_S = 0.1
"""With a write of the sampling thread, which takes microseconds where nothing keeps that thread waiting."""
WRITE_EVERY_NS = 5_000_000
"""What waits is written with the next begin, if that much passed since the last time."""
LINE_FROM_NS = 1_000_000
"""The importing line is told of an import that goes on, or took 1 ms: finding one takes 5 µs in a long module."""
MAX_LINES = 24
MAX_FIELD = 100
MAX_ORIGIN = 250
"""Lines of one record, and characters of their fields: together they fit it."""
MAX_IMPORTER_FRAMES = 8
MESSAGES_BEFORE = 3, 15
"""The versions of which it is known with how many arguments they call _verbose_message."""

_MACHINERY = frozenset(("importlib._bootstrap", "importlib._bootstrap_external", "importlib"))

_REPLACED = ("_ModuleLockManager", "_init_module_attrs", "_verbose_message")
_IMPORTS = bootstrap._find_and_load.__code__  # type: ignore[attr-defined]
_COMPILED = "code object from {}"
_NO_LINE = "0\t"

# An import that goes on, as a list: making one is a third of making an object.
_BEGAN, _THREAD, _FINDING, _COMPILE, _ORIGIN, _TOLD = range(6)


class ImportObserver:
    """`write` gets text of several lines. It may be called from any thread; a fault of ours goes to `fail`, after which
    nothing is observed any more."""

    def __init__(self, write: "Callable[[str], None]", fail: "Callable[[Exception], None]") -> None:
        self._write = write
        self._fail = fail
        self._waiting: list[str] = []
        self._open: dict[str, list[Any]] = {}  # imports that go on, by module: its lock lets one thread at a time in
        self._writing = allocate_lock()
        self._sampling = False
        self._broken = False
        self._due_ns = 0  # when what waits is written with the next begin
        self._originals: dict[str, Any] = {}

    def install(self) -> None:
        """From here on, for the life of the process: a handler may import too."""
        if not self._originals:
            machinery = vars(bootstrap)
            self._originals = {name: machinery[name] for name in _REPLACED}
            machinery.update(
                _ModuleLockManager=self._observed_lock(machinery["_ModuleLockManager"]),
                _init_module_attrs=self._observed_attributes(machinery["_init_module_attrs"]),
            )
            if sys.version_info < MESSAGES_BEFORE:
                machinery["_verbose_message"] = self._observed_message(machinery["_verbose_message"])

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
        """Writes what waits and which imports go on, unless another thread is doing it."""
        if self._waiting or self._open:
            self._flush(going_on=True)

    def _flush(self, *, going_on: bool) -> None:
        if self._broken or not self._writing.acquire(blocking=False):
            return
        try:
            if going_on:
                self._due_ns = time.monotonic_ns() + WRITE_EVERY_NS
                self._begins()
            while self._waiting:
                some = self._waiting[:MAX_LINES]
                del self._waiting[: len(some)]  # whoever appends meanwhile appends behind
                self._write("\n".join(some))
        except Exception as fault:
            self._broke(fault)
        finally:
            self._writing.release()

    def _begins(self) -> None:
        """Imports that go on and were not told of yet."""
        untold = [(module, found) for module, found in list(self._open.items()) if not found[_TOLD]]
        # What _current_frames gives gets no name here: this frame is in it, and a circle keeps what users have alive.
        importing = {
            thread: _importing(sys._current_frames().get(int(thread))) for thread in {one[_THREAD] for _, one in untold}
        }
        for module, found in untold:
            found[_TOLD] = True
            importer = importing[found[_THREAD]].get(module)
            where = _where(importer) if importer is not None else _NO_LINE
            fields = (">", str(found[_BEGAN]), found[_THREAD], module[:MAX_FIELD], where)
            self._waiting.append("\t".join(fields))

    def _broke(self, fault: Exception) -> None:
        self._fail(fault)
        self.uninstall()
        self._broken, self._sampling = True, False

    def _observed_lock(self, base: "Any") -> type:
        enter, leave, modules = base.__enter__, base.__exit__, sys.modules
        open_, waiting, getframe, now_ns = self._open, self._waiting, sys._getframe, time.monotonic_ns
        threads = {get_ident(): str(get_ident())}  # the thread that loads the handler does nearly all imports

        class _ModuleLockManager(base):  # type: ignore[misc]
            _import: "list[Any] | None" = None

            def __enter__(lock) -> "Any":  # noqa: N805 - `self` is the observer
                module = lock._name
                # Else it is loaded already, or being loaded: by a circle, or by another thread.
                if module not in modules:
                    try:
                        began_ns, thread = now_ns(), get_ident()
                        lock._import = began = [began_ns, threads.get(thread) or str(thread), 0, "0", "", False]
                        if module not in open_:
                            open_[module] = began
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
                        module = lock._name
                        began_ns, thread, finding_ns, compile_ns, origin, _ = ended
                        took_ns = now_ns() - began_ns
                        if module in open_ and open_[module] is ended:
                            del open_[module]
                        if type(origin) is not str:  # some finder's own
                            origin = ""
                        elif len(origin) > MAX_ORIGIN:
                            origin = origin[-MAX_ORIGIN:]
                        if len(module) > MAX_FIELD:
                            module = module[:MAX_FIELD]
                        where = _NO_LINE if took_ns < LINE_FROM_NS else _where(_importer(getframe(1)))
                        failed = "" if error is None else _describe(error)
                        began, took, finding = repr(began_ns), repr(took_ns), repr(finding_ns)
                        # Joined: a format string takes longer.
                        waiting.append(
                            "\t".join(("<", began, thread, module, took, finding, compile_ns, where, failed, origin))
                        )
                        if not open_ or len(waiting) >= MAX_LINES:
                            self._flush(going_on=False)
                    except Exception as fault:
                        self._broke(fault)
                return left

        return _ModuleLockManager

    def _observed_attributes(self, original: "Any") -> "Callable[..., Any]":
        open_, now_ns = self._open, time.monotonic_ns

        def _init_module_attrs(spec: "Any", module: "Any", **options: "Any") -> "Any":
            done = original(spec, module, **options) if options else original(spec, module)
            try:
                name = spec.name
                if name in open_:  # not where somebody makes a module by hand
                    found = open_[name]
                    found[_FINDING] = now_ns() - found[_BEGAN]
                    found[_ORIGIN] = spec.origin
            except Exception as fault:
                self._broke(fault)
            return done

        return _init_module_attrs

    def _observed_message(self, original: "Any") -> "Callable[..., Any]":
        open_, now_ns, verbose = self._open, time.monotonic_ns, sys.flags.verbose

        # Three, as many as the standard library passes at most: *args take 200 instructions more, ten times an import.
        def _verbose_message(
            message: str, first: "Any" = None, second: "Any" = None, third: "Any" = None, verbosity: int = 1
        ) -> None:
            if message == _COMPILED:
                try:
                    for found in list(open_.values()):
                        if found[_ORIGIN] == first:
                            found[_COMPILE] = str(now_ns() - found[_BEGAN] - found[_FINDING])
                except Exception as fault:
                    self._broke(fault)
            if verbose:
                original(message, first, second, third, verbosity=verbosity)

        return _verbose_message

    def _sample(self, thread: int, sleep: "Callable[[float], None]" = time.sleep) -> None:
        try:
            looked_ns = time.monotonic_ns()
            while self._sampling:
                sleep(SAMPLE_EVERY_S)
                place, before_ns = _module_body(sys._current_frames().get(thread)), looked_ns
                looked_ns = time.monotonic_ns()
                if place is not None and self._sampling:
                    module, line = place
                    self._waiting.append(
                        f"~\t{looked_ns}\t{thread}\t{module[-MAX_FIELD:]}\t{line}\t{looked_ns - before_ns}"
                    )
                self.flush()
        except Exception as fault:
            self._broke(fault)


def _importer(frame: "FrameType") -> "FrameType":
    """The frame that imports, behind those of the import machinery."""
    for _ in range(MAX_IMPORTER_FRAMES):
        if frame.f_back is None or frame.f_globals.get("__name__") not in _MACHINERY:
            break
        frame = frame.f_back
    return frame


def _importing(frame: "FrameType | None") -> "dict[str, FrameType]":
    """The frames of one thread that import, by what they import."""
    found: dict[str, FrameType] = {}
    while frame is not None:
        if frame.f_code is _IMPORTS:
            found[frame.f_locals["name"]] = _importer(frame)
        frame = frame.f_back
    return found


def _where(importer: "FrameType") -> str:
    """Its line and its module, as fields."""
    module = importer.f_globals.get("__name__")
    return f"{importer.f_lineno or 0}\t{' '.join(str(module or '').split())[:MAX_FIELD]}"


def _module_body(frame: "FrameType | None") -> "tuple[str, int] | None":
    """The innermost module body that runs, and its line; None where it imports: that has an import's own times."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>":
            module = frame.f_globals.get("__name__")
            if not isinstance(module, str) or module == "__main__":
                return None
            return module, frame.f_lineno or 0
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
