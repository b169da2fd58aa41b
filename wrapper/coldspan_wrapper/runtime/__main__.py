# The interpreter starts here: `python -m coldspan_wrapper.runtime app.handler`, or as coldspan-bootstrap's script.
import time

_clocks = (time.monotonic_ns(), time.time_ns(), time.process_time_ns())

import os  # noqa: E402
import sys  # noqa: E402

if __name__ == "__main__":  # not where a child process of the function's, started by spawn, imports its parent's script
    _writes_bytecode = not sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # under another Python than the layer's, it would go into the layer
    if not __package__:  # started as a script: our folder is on the path, in the place of the package's
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from coldspan_wrapper.runtime import process

    process.main(_clocks, is_script=not __package__, writes_bytecode=_writes_bytecode)
