# The interpreter starts here in the runtime's stead: `python [options] start.py script argument...`, or `-m module`.
# Short, since a script has no bytecode file; its frame stays at the bottom of the stack for the life of the process.
import time

_clocks = (time.monotonic_ns(), time.time_ns(), time.process_time_ns())

import os  # noqa: E402
import sys  # noqa: E402

_writes_bytecode = not sys.dont_write_bytecode
sys.dont_write_bytecode = True  # under another Python than the layer's, it would go into the layer
try:
    if sys.version_info < (3, 10):  # noqa: UP036 - a wrapper is in front of whatever it is put in front of
        raise ImportError("Python 3.10 or newer")
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
    from coldspan_wrapper import launch
except Exception:
    with open("/proc/self/cmdline", "rb") as _file:  # sys.orig_argv is younger than the oldest Python that may run this
        _command = _file.read().split(b"\0")[:-1]
    os.execv(sys.executable or "/proc/self/exe", [word for word in _command if word != os.fsencode(__file__)])
launch.main(_clocks, __file__, _writes_bytecode)
