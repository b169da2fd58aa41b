"""What the lab must know of the function's Python before it starts anything."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from coldspan_lab.errors import InterpreterInvalid, LayerInvalid, RuntimeClientMissing
from coldspan_lab.model import RuntimeClient

OLDEST = (3, 10)
INSPECT_TIMEOUT_S = 30.0
INSPECT = """
import importlib.util, json, sys
clients = {"awslambdaric": "awslambdaric", "coldspan_wrapper.runtime": "coldspan"}
def is_there(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
found = [name for module, name in clients.items() if is_there(module)]
print(json.dumps([sys.executable, sys.version_info[:2], found]))
"""
BOOTSTRAP = "coldspan-bootstrap"
"""The layer's own runtime."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    executable: Path
    """The real one: what was named may be a launcher, such as pyenv's shims, which cost 50 ms a start."""
    version: str
    """3.13"""
    clients: frozenset[RuntimeClient]
    """Those that it can import."""


async def inspect(python: Path) -> Interpreter:
    """Runs it once. Raises InterpreterInvalid."""
    try:
        process = await asyncio.create_subprocess_exec(
            python, "-c", INSPECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd="/"
        )
        output, errors = await asyncio.wait_for(process.communicate(), INSPECT_TIMEOUT_S)
        executable, version, clients = json.loads(output)
    except OSError as error:
        raise InterpreterInvalid(f"{python}: cannot be run: {error.strerror}") from error
    except asyncio.TimeoutError:
        process.kill()
        raise InterpreterInvalid(
            f"{python}: said nothing within {INSPECT_TIMEOUT_S:.0f} s; expected a Python"
        ) from None
    except ValueError:
        said = errors.decode("utf-8", "replace").strip() or "nothing"
        raise InterpreterInvalid(f"{python}: expected a Python 3; it said: {said}") from None
    if tuple(version) < OLDEST:
        raise InterpreterInvalid(f"{python}: is Python {version[0]}.{version[1]}; expected 3.10 or newer")
    return Interpreter(Path(executable), f"{version[0]}.{version[1]}", frozenset(map(RuntimeClient, clients)))


def choose_client(wanted: RuntimeClient | None, interpreter: Interpreter, layer: Path | None) -> RuntimeClient:
    """What is to run the function. Raises RuntimeClientMissing, LayerInvalid."""
    ours, theirs = RuntimeClient.COLDSPAN, RuntimeClient.AWSLAMBDARIC
    has_ours = (layer / BOOTSTRAP).is_file() if layer is not None else ours in interpreter.clients
    if wanted is ours:
        if not has_ours and layer is not None:
            raise LayerInvalid(f"{layer}: has no {BOOTSTRAP}, which is to run the function")
        if not has_ours:
            raise _missing(interpreter, "coldspan", "its own runtime")
        return ours
    if theirs in interpreter.clients:
        return theirs
    if wanted is None and has_ours:
        return ours
    raise _missing(interpreter, "awslambdaric", "Lambda's runtime client")


def _missing(interpreter: Interpreter, package: str, what: str) -> RuntimeClientMissing:
    python = interpreter.executable
    return RuntimeClientMissing(
        f"{python}: {package}, {what}, is not installed there. Install it: {python} -m pip install {package}"
    )
