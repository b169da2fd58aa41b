# The extension's Python begins here, started by extensions/coldspan as `python -ISB start.py NAME=VALUE...`.
# Isolated and without site, the search path is the standard library's: our own folders are added to it.
import os
import sys

_tree = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [f"{_tree}/extension", f"{_tree}/wrapper"]
sys.path.append(f"{_tree}/vendor")

from coldspan_extension import boot  # noqa: E402

boot.main(dict(argument.split("=", 1) for argument in sys.argv[1:]))
