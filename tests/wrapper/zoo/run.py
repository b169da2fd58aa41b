"""Imports of every kind, and what comes of them, as text. `run.py on|off WRAPPER [PATH...]`: observed by us or not.

Output: one line of JSON: {"seen": what user code can see, "observed": modules whose end was observed}.
"""

import importlib
import importlib.util
import json
import os
import re
import sys
import tempfile
import threading
import traceback
import zipfile
from importlib import import_module

HERE = os.path.dirname(os.path.abspath(__file__))
SEEN = []


def see(name, action):
    try:
        SEEN.append([name, str(action())])
    except BaseException:
        text = re.sub(r"0x[0-9a-f]+", "0x", traceback.format_exc()).replace(tempfile.gettempdir(), "TMP")
        SEEN.append([name, text])


def from_zip():
    path = os.path.join(tempfile.mkdtemp(), "packed.zip")
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("packed_module.py", "import sched\nVALUE = 5\n")
    sys.path.insert(0, path)
    import packed_module

    sys.path.remove(path)
    return packed_module.VALUE, type(packed_module.__loader__).__name__


def lazily():
    spec = importlib.util.find_spec("lazy_target")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lazy_target"] = module
    spec.loader.exec_module(module)
    before = "EXECUTED" in os.environ
    return before, module.VALUE, os.environ.pop("EXECUTED")


def reloaded():
    import reloadable

    first = reloadable.COUNT
    return first, importlib.reload(reloadable).COUNT


class Finder:
    """A user's meta-path finder, which makes one module and fails for another."""

    def find_spec(self, name, path=None, target=None):
        if name == "from_finder":
            return importlib.util.spec_from_loader(name, self)
        if name == "finder_fails":
            raise RuntimeError("the finder fails")
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.VALUE = 7


def own_finder():
    sys.meta_path.insert(0, Finder())
    import from_finder

    return from_finder.VALUE, type(from_finder.__loader__).__name__


def own_import():
    """A patched __import__, as lazy importers do."""
    import builtins

    original = builtins.__import__
    names = []
    builtins.__import__ = lambda name, *rest: (names.append(name), original(name, *rest))[1]
    try:
        import colorsys
    finally:
        builtins.__import__ = original
    return names


def in_threads():
    found = []
    threads = [threading.Thread(target=lambda: found.append(import_module("slow_one").VALUE)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def real_packages():
    """six has a meta-path importer of its own; demandimport patches __import__."""
    from six.moves import urllib_parse

    return urllib_parse.__name__


def demanded():
    import demandimport

    demandimport.enable()
    try:
        import chunk_of_text
    finally:
        demandimport.disable()
    return chunk_of_text.VALUE


def main():
    sys.path.insert(0, HERE)
    sys.path[1:1] = sys.argv[3:]
    observer, lines = None, []
    if sys.argv[1] == "on":
        sys.path.insert(0, sys.argv[2])
        from coldspan_wrapper.imports import ImportObserver

        sys.path.remove(sys.argv[2])
        sys.path_importer_cache.pop(sys.argv[2], None)
        observer = ImportObserver(lines.append, lambda fault: SEEN.append(["fault", repr(fault)]))
        observer.install()
        observer.start_sampling()
    see("namespace", lambda: import_module("namespace_part.inner.leaf").VALUE)
    see("circular", lambda: import_module("circle.one").VALUE)
    see("import_module", lambda: import_module("json.tool").__name__)
    see("loaded again", lambda: import_module("json.tool").__name__)
    see("reload", reloaded)
    see("C extension", lambda: import_module("_csv").__name__)
    see("zip", from_zip)
    see("replaces itself", lambda: import_module("replaces_itself").VALUE)
    see("lazy loader", lazily)
    see("own finder", own_finder)
    see("own __import__", own_import)
    see("threads", in_threads)
    see("six", real_packages)
    see("demandimport", demanded)
    see("missing", lambda: import_module("no_such_module"))
    see("missing below", lambda: import_module("json.nothing"))
    see("not a package", lambda: import_module("colorsys.nothing"))
    see("raises", lambda: import_module("breaks.raises"))
    see("raises below", lambda: import_module("breaks.outer"))
    see("statement raises below", lambda: __import__("breaks.outer"))
    see("syntax error", lambda: import_module("breaks.syntax"))
    see("syntax error below", lambda: __import__("breaks.wants_syntax"))
    see("exits", lambda: import_module("breaks.exits"))
    see("broken extension", lambda: import_module("breaks.broken"))
    see("finder fails", lambda: import_module("finder_fails"))
    see("null", lambda: import_module("null\0name"))
    sys.modules["blocked"] = None
    see("None in sys.modules", lambda: import_module("blocked"))
    if observer is not None:
        observer.stop_sampling()
        observer.uninstall()
    import _frozen_importlib

    see("left behind", lambda: _frozen_importlib._ModuleLockManager)
    ended = [line.split("\t")[3] for text in lines for line in text.split("\n") if line.startswith("<")]
    print(json.dumps({"seen": SEEN, "observed": ended}))


main()
