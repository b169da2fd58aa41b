# The interpreter starts here in the runtime's stead: `python [options] start.py script argument...`, or `-m module`.
# Short, since a script has no bytecode file; its frame stays at the bottom of the stack for the life of the process.
import time

_clocks = (time.monotonic_ns(), time.time_ns(), time.process_time_ns())

import os  # noqa: E402
import sys  # noqa: E402

_writes_bytecode = not sys.dont_write_bytecode
sys.dont_write_bytecode = True  # under another Python than the layer's, it would go into the layer
try:
    sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
    from coldspan_wrapper import launch
except Exception:
    os.execv(sys.executable or "/proc/self/exe", [argument for argument in sys.orig_argv if argument != __file__])
launch.main(_clocks, __file__, _writes_bytecode)
