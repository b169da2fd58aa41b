"""The imports of a process, from the lines that the wrapper writes to a forest of what happened."""

MAX_IMPORTS = 20_000

_OURS = "coldspan_wrapper."

FUNCTION, LAYER, RUNTIME, STDLIB = "function", "layer", "runtime", "stdlib"


class Import:
    """One import. Times are Unix ns; `ended_ns` is 0 while it goes on, `found_ns` 0 where the module was not found."""

    __slots__ = (
        "began_ns",
        "children",
        "compile_ns",
        "ended_ns",
        "error",
        "found_ns",
        "importer",
        "line",
        "module",
        "origin",
        "thread",
    )

    def __init__(self, module: str, thread: str, began_ns: int) -> None:
        self.module = module
        self.thread = thread
        self.began_ns = began_ns
        self.importer = ""
        self.line = 0
        self.ended_ns = 0
        self.found_ns = 0
        self.compile_ns = 0
        self.origin = ""
        self.error = ""
        self.children: list[Import] = []


class Sample:
    """A line of a module's body that ran at `at_ns`, Unix time, and `took_ns` since the look before."""

    __slots__ = ("at_ns", "line", "module", "took_ns")

    def __init__(self, at_ns: int, module: str, line: int, took_ns: int) -> None:
        self.at_ns = at_ns
        self.module = module
        self.line = line
        self.took_ns = took_ns


class ImportLog:
    """The imports of one process so far. They are read when somebody asks, since what they tell of is going on now.

    `lost` counts lines that could not be read or were too many.
    """

    def __init__(self, task_root: str, stdlib: str) -> None:
        self.lost = 0
        self.samples: list[Sample] = []
        self.thread = ""  # the one that loads the handler's module, and runs it: it imports first
        self._latest_ns = 0  # the latest begin
        self._unread: list[tuple[str, int]] = []
        self._imports: dict[tuple[str, str, str], Import] = {}  # by thread, begin and module
        self._origins: dict[str, str] = {}
        self._task_root = task_root
        self._stdlib = stdlib

    def add(self, lines: str, offset_ns: int) -> None:
        """Lines as coldspan_wrapper.imports writes them; `offset_ns` makes Unix times of its monotonic ones."""
        self._unread.append((lines, offset_ns))

    def read(self) -> None:
        """Takes in what was added."""
        for lines, offset_ns in self._unread:
            for line in lines.split("\n"):
                try:
                    self._read(line.split("\t", 10), offset_ns)
                except (ValueError, IndexError):
                    self.lost += 1
        self._unread = []

    def between(self, begin_ns: int, end_ns: int) -> list[Import]:
        """The outermost imports that began in that time, each with those it led to."""
        self.read()
        if begin_ns > self._latest_ns:  # a handler that imports nothing, most often
            return []
        stacks: dict[str, list[Import]] = {}
        outermost: list[Import] = []
        for found in sorted(self._imports.values(), key=lambda found: found.began_ns):
            if not begin_ns <= found.began_ns <= end_ns:
                continue
            found.children = []
            stack = stacks.setdefault(found.thread, [])
            for place in range(len(stack) - 1, -1, -1):
                ended_ns = stack[place].ended_ns
                if ended_ns > found.began_ns:
                    break  # it is inside this one
                if ended_ns:  # else this one goes on, or its end is lost, where one around it has ended
                    del stack[place:]
            (stack[-1].children if stack else outermost).append(found)
            stack.append(found)
        return outermost

    def forget(self, begin_ns: int, end_ns: int) -> None:
        """What began and ended in that time is told: a handler may import, in vain, in every invocation."""
        self.read()
        self._imports = {
            key: found
            for key, found in self._imports.items()
            if not (begin_ns <= found.began_ns and 0 < found.ended_ns <= end_ns)
        }

    def take_lost(self) -> int:
        """How many lines were lost since the last call."""
        lost, self.lost = self.lost, 0
        return lost

    def file_of(self, module: str) -> str:
        """Where the module was found; empty where that is not known."""
        return self._origins.get(module, "")

    def source_of(self, found: Import) -> str:
        """Whose module it is; empty where it was not found."""
        origin = found.origin
        if origin.startswith((self._task_root + "/", "/var/task/")):
            return FUNCTION
        if origin.startswith("/opt/"):
            return LAYER
        packages = "/site-packages/" in origin or "/dist-packages/" in origin
        if origin in ("built-in", "frozen") or (origin.startswith(self._stdlib + "/") and not packages):
            return STDLIB
        return RUNTIME if origin else ""

    def _read(self, fields: list[str], offset_ns: int) -> None:
        at_ns = offset_ns + int(fields[1])
        if fields[0] == "~":
            self.samples.append(Sample(at_ns, fields[3], int(fields[4]), int(fields[5])))
            return
        kind, began, thread, module = fields[:4]
        if module.startswith(_OURS):
            return
        key = (thread, began, module)
        found = self._imports.get(key)
        if kind not in ("<", ">") or (found is None and len(self._imports) >= MAX_IMPORTS):
            raise ValueError
        found = found or Import(module, thread, at_ns)
        if kind == ">":
            line, importer = fields[4:6]
        else:
            took, finding, compiling, line, importer, error, origin = fields[4:11]
            found.ended_ns = at_ns + int(took)
            found.found_ns = at_ns + int(finding) if finding != "0" else 0
            found.compile_ns = int(compiling)
            found.error = error
            found.origin = self._origins[module] = origin
        if line != "0":
            found.line, found.importer = int(line), importer
        self._imports[key] = found
        self.thread = self.thread or thread
        if at_ns > self._latest_ns:
            self._latest_ns = at_ns
