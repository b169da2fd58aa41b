"""Bytecode beside every source: /opt is read-only, so whatever comes without is compiled again at each cold start."""

import os
import subprocess
from pathlib import Path

from coldspan_layer.errors import BuildError

# Where Lambda unpacks a layer. Baked into the bytecode, so that Python need not correct it at import.
LAYER_ROOT = "/opt"


def compile_tree(tree: Path, interpreter: Path) -> None:
    """Compiles every module below tree/coldspan into its __pycache__; equal sources give equal bytes wherever they lie.

    Unchecked hash: no stat of the source at import, and no date that would be lost in a zip. That of our own modules is
    without docstrings, assertions and columns in tracebacks: a third of it. Raises BuildError.
    """
    _compile(tree / "coldspan", tree, interpreter)
    for ours in (tree / "coldspan" / "extension", tree / "coldspan" / "wrapper"):
        _compile(ours, tree, interpreter, "-OO", "-X", "no_debug_ranges")
        for stripped in ours.rglob("*.opt-2.pyc"):
            stripped.replace(stripped.with_name(stripped.name.replace(".opt-2", "")))


def _compile(folder: Path, tree: Path, interpreter: Path, *options: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # Up to Python 3.10 a set constant is written in hash order.
    environment["PYTHONHASHSEED"] = "0"
    command = [str(interpreter), "-s", "-S", *options, "-m", "compileall", "-q", "-f", "-j", "1"]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(tree), "-p", LAYER_ROOT, str(folder)]
    done = subprocess.run(command, cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{interpreter} could not compile the layer's modules:\n{done.stdout}{done.stderr}")
