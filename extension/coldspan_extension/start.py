# The extension's Python begins here, started by extensions/coldspan as `python -ISB start.py NAME=VALUE...`.
# Isolated and without site, the search path is the standard library's: our own folders are added to it. A script has no
# bytecode: what stands here is compiled at each start, some 40,000 instructions a line.
import gc
import posix as os
import sys

_tree = __file__.rpartition("/extension/")[0]
sys.path += [f"{_tree}/extension", f"{_tree}/wrapper", f"{_tree}/vendor"]
# All modules and the spans of 500 imports are fewer objects: to search them for cycles took 0.7 ms, and found none.
gc.set_threshold(20_000)


def _use_bundle():  # type: ignore[no-untyped-def]
    from _frozen_importlib_external import MAGIC_NUMBER
    from marshal import loads

    file = os.open(f"{_tree}/extension/coldspan_extension/__pycache__/bundle", os.O_RDONLY | os.O_CLOEXEC)
    head = os.pread(file, 8, 0)
    if head.startswith(MAGIC_NUMBER):  # bytecode is readable by its own version only
        modules = loads(os.pread(file, int.from_bytes(head[4:], "little"), 8))  # noqa: S302 - ours, from the layer
        _, at, size = modules["coldspan_extension.bundle"]
        finder = {"__name__": "coldspan_extension.bundle"}
        exec(loads(os.pread(file, size, at)), finder)  # noqa: S102, S302
        sys.meta_path.insert(0, finder["Bundle"](_tree, file, modules))  # type: ignore[operator]


_started = dict(argument.split("=", 1) for argument in sys.argv[1:])
try:
    try:
        _use_bundle()  # type: ignore[no-untyped-call]
    except (OSError, ImportError):
        pass  # not in a layer, or not in CPython: each module is found by itself
    from coldspan_extension import boot
except Exception as _fault:
    from coldspan_extension import stay

    stay.wait(_started, _fault)  # type: ignore[no-untyped-call]
else:
    boot.main(_started)
