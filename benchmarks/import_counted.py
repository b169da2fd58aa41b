"""One process whose instructions imports.py counts: `import_counted.py FOLDER ROUNDS on|off`, the observer on or off.

Imports all modules of the folder once, then ROUNDS times more. Of the standard library it takes what costs nothing.
"""

import itertools
import sys
import time
from os.path import dirname

sys.path[:0] = [sys.argv[1], dirname(dirname(__file__)) + "/wrapper"]

# Under valgrind all is slow, and of an import that takes 1 ms its line is told: this clock moves 20 µs at each look.
vars(time).update(monotonic_ns=itertools.count(1, 20_000).__next__)

from coldspan_wrapper import records  # noqa: E402
from coldspan_wrapper.imports import ImportObserver  # noqa: E402


def encode(text: str) -> None:
    records.encode(records.IMPORTS, 0, 0, text)


def once() -> None:
    for name in [name for name in sys.modules if name.startswith(("module_", "all_of_them"))]:
        del sys.modules[name]
    __import__("all_of_them")


once()
encode("")
observer = ImportObserver(encode, print)
if sys.argv[3] == "on":
    observer.install()
for _ in range(int(sys.argv[2])):
    once()
observer.stop_sampling()
observer.uninstall()
