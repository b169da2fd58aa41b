"""Imports the extension's modules from the one file in which the layer's builder put the bytecode of all.

To look for each of forty modules in folders, to open and read it takes 2 to 3 ms of CPU time. This one is the first to
be taken from there, by start.py. Where there is no such file, or one of another Python, every module is imported as
usual.
"""

import posix as os
from _frozen_importlib import ModuleSpec
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


class Bundle:
    """A finder and loader for sys.meta_path. `modules` has by name the path of the source below `root`, the module's
    `__file__`, where its code begins in the descriptor `file`, and the size of that."""

    def __init__(self, root: str, file: int, modules: "dict[str, tuple[str, int, int]]") -> None:
        self._root = root
        self._file = file
        self._modules = modules

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if name not in self._modules:
            return None
        folder, _, file = f"{self._root}/{self._modules[name][0]}".rpartition("/")
        spec = ModuleSpec(name, self, is_package=file == "__init__.py")  # type: ignore[arg-type] # has what it needs
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(folder)
        return spec

    def create_module(self, spec: "ModuleSpec") -> None:
        """The usual kind of module."""

    def exec_module(self, module: "ModuleType") -> None:
        path, at, size = self._modules[module.__name__]
        module.__file__ = f"{self._root}/{path}"
        exec(loads(os.pread(self._file, size, at)), module.__dict__)  # noqa: S102, S302 - ours, from the layer
