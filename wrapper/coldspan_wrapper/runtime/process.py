"""From the process's first line to its first question for an event: arguments, import path, recording, handler."""

import os
import sys
import time

from coldspan_wrapper import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

USAGE = "expected the handler as the only argument, such as app.handler, or in _HANDLER"


def main(clocks: "tuple[int, int, int]", *, is_script: bool, writes_bytecode: bool) -> "NoReturn":
    """`clocks` are those of the first line (monotonic, real time, CPU time, ns). Ends with an exit, or with what the
    function ends the process with."""
    handler, address = _arguments(sys.argv[1:], os.environ)
    began_ns = time.monotonic_ns()
    from coldspan_wrapper import recording

    recorder = recording.start(clocks)
    recorder.client_found("coldspan", __version__)
    recorder.ready(began_ns)
    try:
        from coldspan_wrapper.runtime import loop

        if is_script:
            _leave_path()
        _extend_path(os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd())
        sys.dont_write_bytecode = not writes_bytecode
        loop.run(handler, address, recorder)
    except BaseException as error:
        recorder.failed(error, fatal=True)
        raise


def _arguments(arguments: "list[str]", environ: "Mapping[str, str]") -> "tuple[str, str]":
    """The handler's name and the Runtime API's address."""
    handler = arguments[0] if len(arguments) == 1 else "" if arguments else environ.get("_HANDLER", "")
    if not handler:
        sys.exit(f"coldspan-bootstrap: no handler: {USAGE}")
    address = environ.get("AWS_LAMBDA_RUNTIME_API", "")
    if not address:
        sys.exit("coldspan-bootstrap: AWS_LAMBDA_RUNTIME_API is not set; Lambda, or an emulator of it, sets it")
    return handler, address


def _leave_path() -> None:
    """Takes our own entry away: our modules are found through their package from here on."""
    ours = sys.path.pop(0)
    for entry in [entry for entry in sys.path_importer_cache if entry.startswith(ours)]:
        del sys.path_importer_cache[entry]


def _extend_path(task_root: str) -> None:
    """As the managed runtime: the function, the layers, what is installed, then the standard library. Where PYTHONPATH
    is set, its owner decides on all but the function."""
    import site

    version = ".".join(map(str, sys.version_info[:2]))
    layers = [f"/opt/python/lib/python{version}/site-packages", "/opt/python"]
    layers = [folder for folder in layers if os.path.isdir(folder)]
    installed = [entry for entry in sys.path if entry.endswith("/site-packages")]
    if os.environ.get("PYTHONPATH") is not None:
        layers = installed = []
    first = [task_root, *layers, *installed]
    sys.path[:] = first + [entry for entry in sys.path if entry not in first]
    for folder in (task_root, *layers):
        site.addsitedir(folder)  # for its .pth files
