"""What the lab must know of the function's Python before it starts anything."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from coldspan_lab.errors import InterpreterInvalid, RuntimeClientMissing

OLDEST = (3, 10)
INSPECT_TIMEOUT_S = 30.0
INSPECT = """
import importlib.util, json, sys
client = importlib.util.find_spec("awslambdaric") is not None
print(json.dumps([sys.executable, sys.version_info[:2], client]))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    executable: Path
    """The real one: what was named may be a launcher, such as pyenv's shims, which cost 50 ms a start."""
    version: str
    """3.13"""


async def inspect(python: Path) -> Interpreter:
    """Runs it once. Raises InterpreterInvalid, RuntimeClientMissing."""
    try:
        process = await asyncio.create_subprocess_exec(
            python, "-c", INSPECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd="/"
        )
        output, errors = await asyncio.wait_for(process.communicate(), INSPECT_TIMEOUT_S)
        executable, version, has_client = json.loads(output)
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
    if not has_client:
        raise RuntimeClientMissing(
            f"{python}: awslambdaric, Lambda's runtime client, is not installed there. Install it: "
            f"{executable} -m pip install awslambdaric"
        )
    return Interpreter(Path(executable), f"{version[0]}.{version[1]}")
