"""Does what the event asks for, and tells what a function can see of its process."""

import asyncio.events
import atexit
import gc
import logging
import os
import signal
import sys
import threading
import traceback

atexit.register(print, "at exit")


def handler(event, context):
    return globals()[event["do"]](event, context)


def look(event, context):
    names = [signal.Signals(number).name for number in signal.valid_signals() if number < 32]
    return {
        "argv": sys.argv,
        "orig_argv": sys.orig_argv,
        "path": sys.path,
        "environ": {name: value for name, value in os.environ.items() if not name.startswith("_X_AMZN")},
        "flags": str(sys.flags),
        "warnoptions": sys.warnoptions,
        "signals": {name: str(signal.getsignal(getattr(signal, name))) for name in names},
        "hooks": [repr(hook) for hook in (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook)],
        "meta_path": [str(getattr(finder, "__name__", type(finder).__name__)) for finder in sys.meta_path],
        "path_hooks": len(sys.path_hooks),
        "trace": [sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "main": sorted(name for name in vars(sys.modules["__main__"])),
        "main_file": sys.modules["__main__"].__file__,
        "stdout": [type(sys.stdout).__name__, type(sys.stderr).__name__, sys.stdout.fileno()],
        "cwd": os.getcwd(),
        "logging": [type(handler).__name__ for handler in logging.getLogger().handlers],
        "limits": [sys.getrecursionlimit(), sys.getswitchinterval(), gc.get_threshold()],
        "importer_cache": sorted(sys.path_importer_cache),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:3],
        "frames": traceback.format_stack()[-2:],
        "remaining": context.get_remaining_time_in_millis() > 0,
        "context": sorted(vars(context)),
    }


def raises(event, context):
    try:
        {}["missing"]
    except KeyError as error:
        raise ValueError("no luck: é") from error


def raises_unencodable(event, context):
    raise ValueError("lone surrogate \ud800")


def raises_without_str(event, context):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    raise Odd


def raises_deep(event, context):
    return raises_deep(event, context)


def interrupts(event, context):
    raise KeyboardInterrupt


def exits(event, context):
    sys.exit(event["code"])


def leaves(event, context):
    os._exit(4)


def returns_object(event, context):
    return object()


def returns_bytes(event, context):
    return b"\x00raw"


def returns_large(event, context):
    return "x" * 2_000_000


def logs(event, context):
    logging.getLogger().warning("a warning %s", "é")
    logging.getLogger("named").error("an error", exc_info=ValueError("logged"))
    print("printed", file=sys.stdout)
    print("to stderr", file=sys.stderr)
    return "logged"


def closes_descriptors(event, context):
    """What daemon helpers do, but for the runtime client's own connection; then a file gets a number of theirs."""
    os.closerange(100, 4096)
    with open("/tmp/coldspan-neutral", "w+") as file:
        os.dup2(file.fileno(), 1000)
        return os.fstat(1000).st_size


def file_at_1000(event, context):
    return os.fstat(1000).st_size


def forks(event, context):
    child = os.fork()
    if child == 0:
        os._exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
