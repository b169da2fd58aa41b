"""Imports under observation: they do what they do without it, on every Python, and each is told with its times."""

import contextlib
import json
import os
import py_compile
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import six

from coldspan_testing import cache, interpreters
from coldspan_wrapper import imports, records
from coldspan_wrapper.channel import Channel
from coldspan_wrapper.imports import LINE_FROM_NS, MAX_FIELD, MAX_LINES, MAX_ORIGIN, ImportObserver
from coldspan_wrapper.recorder import Recorder

ZOO = Path(__file__).parent / "zoo" / "run.py"
WRAPPER = cache.CHECKOUT / "wrapper"
PACKAGES = Path(six.__file__).parent


def zoo(version: str, observed: str, *options: str) -> tuple[dict[str, list[str]], str]:
    """What the zoo printed, and its stderr."""
    command: list[str | Path] = [interpreters.executable(version), "-S", *options, ZOO, observed, WRAPPER, PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_every_kind_of_import_gives_the_same_and_fails_with_the_same_traceback(version: str) -> None:
    (observed, _), (alone, _) = zoo(version, "on"), zoo(version, "off")
    assert observed["seen"] == alone["seen"]
    kinds = {
        "namespace_part.inner.leaf", "circle.two", "_csv", "packed_module", "replaces_itself", "from_finder",
        "slow_one", "no_such_module", "breaks.raises", "breaks.syntax", "finder_fails",
    }  # fmt: skip
    assert kinds <= set(observed["observed"])
    assert alone["observed"] == []


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_x_importtime_tells_of_the_same_modules_in_the_same_nesting(version: str) -> None:
    (observed, table), (alone, table_alone) = (zoo(version, how, "-X", "importtime") for how in ("on", "off"))
    assert observed["seen"] == alone["seen"]
    assert imported(table) == imported(table_alone)
    by_statement = {"packed_module", "circle.two", "reloadable", "from_finder", "colorsys"}
    assert by_statement <= {module.strip() for module in imported(table)}


def imported(table: str) -> list[str]:
    """The last column of `import time: self | cumulative | module`, a space before it for each level; without ours."""
    rows = [line.rpartition("| ")[2] for line in table.splitlines() if line.startswith("import time:")]
    return [module for module in rows if not module.lstrip().startswith("coldspan_wrapper")]


class Observed:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.faults: list[Exception] = []
        self.observer = ImportObserver(self.texts.append, self.faults.append)

    @property
    def lines(self) -> list[list[str]]:
        return [line.split("\t") for text in self.texts for line in text.split("\n")]

    def ended(self, module: str) -> list[str]:
        (found,) = [line for line in self.lines if line[0] == "<" and line[3] == module]
        return found


@pytest.fixture
def observed() -> Iterator[Observed]:
    made = Observed()
    made.observer.install()
    yield made
    made.observer.uninstall()
    assert made.faults == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """On the search path, and its modules forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_an_import_tells_its_times_its_origin_and_who_wanted_it(observed: Observed, folder: Path) -> None:
    (folder / "outer_one.py").write_text("\n\nimport inner_one\n")
    (folder / "inner_one.py").write_text("x = sum(range(300_000))\n")
    import_module("outer_one")
    outer, inner = observed.ended("outer_one"), observed.ended("inner_one")
    began, took, finding, compiling = (int(inner[place]) for place in (1, 4, 5, 6))
    assert 0 < finding < finding + compiling < took
    assert int(outer[1]) < began < began + took < int(outer[1]) + int(outer[4])
    assert inner[7:] == ["3", "outer_one", "", str(folder / "inner_one.py")]
    assert outer[8:] == [__name__, "", str(folder / "outer_one.py")]


def test_of_an_import_that_took_less_than_a_millisecond_the_line_is_not_looked_for(
    observed: Observed, folder: Path
) -> None:
    (folder / "short_one.py").write_text("x = 1\n")
    py_compile.compile(str(folder / "short_one.py"))
    import_module("short_one")
    took, line = int(observed.ended("short_one")[4]), observed.ended("short_one")[7]
    assert (line == "0") == (took < LINE_FROM_NS)


def test_a_module_with_bytecode_was_not_compiled(observed: Observed, folder: Path) -> None:
    (folder / "with_bytecode.py").write_text("x = 1\n")
    py_compile.compile(str(folder / "with_bytecode.py"))
    import_module("with_bytecode")
    assert observed.ended("with_bytecode")[6] == "0"


def test_an_import_that_raises_tells_the_exception(observed: Observed, folder: Path) -> None:
    (folder / "failing_one.py").write_text("import not_there_at_all\n")
    with pytest.raises(ImportError):
        import_module("failing_one")
    for module in ("failing_one", "not_there_at_all"):
        assert observed.ended(module)[9] == "ModuleNotFoundError: No module named 'not_there_at_all'"
    assert observed.ended("not_there_at_all")[5] == "0"  # it was not found


def test_the_begin_of_what_the_process_may_die_of_is_written_before(
    observed: Observed, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "WRITE_EVERY_NS", 0)
    (folder / "leads_to_it.py").write_text("\n\nimport fatal_one\n")
    (folder / "fatal_one.py").write_text("import coldspan_seen\n\ncoldspan_seen.look()\n")
    seen: list[list[str]] = []
    probe = type(sys)("coldspan_seen")
    probe.look = lambda: seen.extend(observed.lines)  # type: ignore[attr-defined]
    sys.modules["coldspan_seen"] = probe
    import_module("leads_to_it")
    del sys.modules["coldspan_seen"]
    outer, inner = (line for line in seen if line[0] == ">")
    assert (outer[3], int(outer[4]) > 0, outer[5]) == ("leads_to_it", True, __name__)
    assert inner[3:] == ["fatal_one", "3", "leads_to_it"]


def test_an_import_that_another_thread_looks_at_tells_who_wanted_it(observed: Observed, folder: Path) -> None:
    (folder / "wants_it.py").write_text("\nimport goes_on\n")
    (folder / "goes_on.py").write_text("import coldspan_seen\n\ncoldspan_seen.look()\n")
    probe = type(sys)("coldspan_seen")

    def look() -> None:
        other = threading.Thread(target=observed.observer.flush)
        other.start()
        other.join()

    probe.look = look  # type: ignore[attr-defined]
    sys.modules["coldspan_seen"] = probe
    import_module("wants_it")
    del sys.modules["coldspan_seen"]
    (told,) = [line for line in observed.lines if line[0] == ">" and line[3] == "goes_on"]
    assert told[2:] == [str(threading.get_ident()), "goes_on", "2", "wants_it"]
    assert len([line for line in observed.lines if line[3] == "goes_on"]) == 2


def test_an_import_of_a_loaded_module_is_not_observed(observed: Observed) -> None:
    import_module("json")
    assert observed.texts == []


def imports_until(done: Callable[[], bool], folder: Path) -> None:
    """Imports busy_one, whose third and fourth line run until it is done, or for a minute."""
    until = time.monotonic() + 60
    probe = type(sys)("coldspan_probe")
    probe.done = lambda: done() or time.monotonic() > until  # type: ignore[attr-defined]
    sys.modules["coldspan_probe"] = probe
    (folder / "busy_one.py").write_text("import coldspan_probe\n\nwhile not coldspan_probe.done():\n    pass\n")
    import_module("busy_one")
    del sys.modules["coldspan_probe"]


def test_the_line_that_runs_beside_imports_is_sampled(observed: Observed, folder: Path) -> None:
    def samples() -> list[list[str]]:
        return [line for line in observed.lines if line[0] == "~"]

    observed.observer.start_sampling()
    imports_until(lambda: len(samples()) >= 2, folder)
    observed.observer.stop_sampling()
    assert len(samples()) >= 2
    assert {line[3] for line in samples()} == {"busy_one"}
    assert {line[4] for line in samples()} <= {"3", "4"}


def test_at_the_end_of_sampling_nothing_is_left_to_its_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows may be the end of the process, which waits for no thread."""
    monkeypatch.setattr(imports, "PATIENCE_S", 60)
    began, going_on, written = threading.Event(), threading.Event(), threading.Event()

    def writes(_: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            began.set()
            going_on.wait(0.05)  # nobody sets it: so long the machine does other things
            written.set()

    faults: list[Exception] = []
    observer = ImportObserver(writes, faults.append)
    observer.install()
    try:
        observer.start_sampling()
        imports_until(began.is_set, folder)
        observer.stop_sampling()
        assert written.is_set()
        assert faults == []
    finally:
        observer.uninstall()


def test_threads_are_told_apart(observed: Observed, folder: Path) -> None:
    for name in ("thread_one", "thread_two"):
        (folder / f"{name}.py").write_text("x = 1\n")
    other = threading.Thread(target=import_module, args=("thread_one",))
    other.start()
    other.join()
    import_module("thread_two")
    assert observed.ended("thread_one")[2] == str(other.ident)
    assert observed.ended("thread_two")[2] == str(threading.get_ident())


@pytest.mark.parametrize("version", interpreters.VERSIONS)
def test_the_standard_library_says_no_message_with_more_than_three_arguments(version: str) -> None:
    """The stand-in for _verbose_message takes no more, and an import must not fail of it."""
    count = """
import ast, json, os, sysconfig
told = []
for name in ("importlib/_bootstrap.py", "importlib/_bootstrap_external.py", "zipimport.py"):
    with open(os.path.join(sysconfig.get_path("stdlib"), name)) as source:
        tree = ast.parse(source.read())
    for node in ast.walk(tree):
        called = getattr(node, "func", None)
        if "_verbose_message" in (getattr(called, "attr", ""), getattr(called, "id", "")):
            told.append([len(node.args) - 1, any(isinstance(given, ast.Starred) for given in node.args)])
print(json.dumps(told))
"""
    done = subprocess.run([interpreters.executable(version), "-c", count], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert len(told) > 20
    assert all(given <= 3 and not more for given, more in told)


def test_a_fault_of_ours_ends_the_observation_and_no_import(folder: Path) -> None:
    faults: list[Exception] = []

    def broken(_: str) -> None:
        raise RuntimeError("no room")

    observer = ImportObserver(broken, faults.append)
    machinery = sys.modules["_frozen_importlib"]
    before = machinery._ModuleLockManager
    observer.install()
    (folder / "harmless_one.py").write_text("x = 1\n")
    assert import_module("harmless_one").x == 1
    assert machinery._ModuleLockManager is before
    assert [str(fault) for fault in faults] == ["no room"]


def test_the_longest_lines_fit_one_record() -> None:
    widest = len("<") + 11 + 2 * MAX_FIELD + MAX_ORIGIN + MAX_FIELD + 6 * 20
    assert MAX_LINES * widest <= records.MAX_TEXT


@pytest.mark.parametrize("spoilt", ["stale", "of another Python"])
def test_bytecode_that_is_not_valid_is_compiled_and_told(observed: Observed, folder: Path, spoilt: str) -> None:
    source = folder / "spoilt_one.py"
    source.write_text("x = 1\n")
    compiled = Path(py_compile.compile(str(source)) or "")
    if spoilt == "stale":
        os.utime(source, (1, 1))
    else:
        compiled.write_bytes(b"\0\0\r\n" + compiled.read_bytes()[4:])
    import_module("spoilt_one")
    assert int(observed.ended("spoilt_one")[6]) > 0


def test_nothing_of_a_failed_import_is_kept_alive(observed: Observed, folder: Path) -> None:
    class Local:
        pass

    def tries() -> "weakref.ref[Local]":
        local = Local()
        with contextlib.suppress(ImportError):
            import_module("not_there_either")
        return weakref.ref(local)

    assert tries()() is None


def test_a_spec_whose_origin_is_no_text_is_imported_all_the_same(observed: Observed, folder: Path) -> None:
    class Finder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
            return ModuleSpec(name, self, origin=Path("/somewhere")) if name == "odd_one" else None  # type: ignore[arg-type]

        def create_module(self, spec: object) -> None:
            return None

        def exec_module(self, module: object) -> None:
            return None

    finder = Finder()
    sys.meta_path.insert(0, finder)
    try:
        import_module("odd_one")
    finally:
        sys.meta_path.remove(finder)
    assert observed.ended("odd_one")[10] == ""


def test_what_a_signal_handler_raises_while_our_code_runs_is_the_users(folder: Path) -> None:
    class Alarm(Exception):
        pass

    def interrupted(_: str) -> None:
        exec(compile("raise alarm", "/var/task/app.py", "exec"), {"alarm": Alarm()})

    channel = Channel(str(folder / "channel"))
    recorder = Recorder(channel)
    observer = ImportObserver(interrupted, recorder._disable)
    observer.install()
    (folder / "waiting_one.py").write_text("x = 1\n")
    try:
        with pytest.raises(Alarm):
            import_module("waiting_one")
    finally:
        observer.uninstall()
        os.close(channel.descriptor)
    assert recorder.fault is None
