"""What the command's options may say. Each function takes an option's text and gives its value, or raises
ArgumentTypeError with what was expected; argparse names the option."""

import json
import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from enum import Enum
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from coldspan_lab.errors import FaultUnknown
from coldspan_lab.faults import fault_named
from coldspan_lab.model import MEMORY_MB, TIMEOUT_S

MAX_NAME = 64
MAX_PORT = 65535
EXPORT_FORMATS = ("perfetto", "speedscope")
"""coldspan_report.exports' own, here since the command starts without the lab's packages; a test holds both equal."""
E = TypeVar("E", bound=Enum)


def function_folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        problem = "is a file" if path.exists() else "does not exist"
        raise ArgumentTypeError(f"{text}: {problem}; expected the folder that holds the function's code")
    return path


def layer_folder(text: str) -> Path:
    path = Path(text)
    if not (path / "extensions").is_dir():
        raise ArgumentTypeError(f"{text}: expected a folder as `coldspan layer build --output FOLDER` makes it")
    return path


def python(text: str) -> Path:
    """A name for PATH, or a file: of a virtual environment, its link must stay one."""
    return Path(text).absolute() if os.sep in text else Path(text)


def variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ArgumentTypeError(f"{text}: expected NAME=VALUE, a name of letters, digits and _")
    return name, value


def event(text: str) -> bytes:
    """The payload: what is in the file of that name, else the text itself."""
    is_file = os.path.exists(text)
    try:
        payload = Path(text).read_bytes() if is_file else text.encode()
        json.loads(payload)
    except OSError as error:
        raise ArgumentTypeError(f"{text}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        what = "the file's content is not JSON" if is_file else "there is no such file, and it is not JSON"
        raise ArgumentTypeError(f"{text}: {what}: {error}") from None
    return payload


def count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text}: expected a number of invocations, 1 or more")
    return int(text)


def memory_mb(text: str) -> int:
    if not text.isdecimal() or int(text) not in MEMORY_MB:
        raise ArgumentTypeError(f"{text}: expected a whole number of MB from {MEMORY_MB.start} to {MEMORY_MB.stop - 1}")
    return int(text)


def timeout_s(text: str) -> float:
    low, high = TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not low <= seconds <= high:
        raise ArgumentTypeError(f"{text}: expected seconds from {low} to {high:.0f}")
    return seconds


def one_of(kind: type[E]) -> Callable[[str], E]:
    def parse(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            raise ArgumentTypeError(f"{text}: expected one of {values(kind)}") from None

    return parse


def values(kind: type[Enum]) -> str:
    return ", ".join(each.value for each in kind)


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_PORT:
        raise ArgumentTypeError(f"{text}: expected a port, 0 to {MAX_PORT}; 0 is any that is free")
    return int(text)


def fault(text: str) -> str:
    try:
        fault_named(text)
    except FaultUnknown as unknown:
        raise ArgumentTypeError(str(unknown)) from None
    return text


def output_file(text: str) -> Path:
    """Refused before a run that would have nowhere to write to."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        problem = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise ArgumentTypeError(f"{text}: {problem}; expected the file to write")
    return path


def export(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if name not in EXPORT_FORMATS or not file:
        raise ArgumentTypeError(f"{text}: expected FORMAT=FILE, FORMAT one of {', '.join(EXPORT_FORMATS)}")
    return name, output_file(file)


def otlp_endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ArgumentTypeError(f"{text}: expected a URL such as http://localhost:4318")
    return text


def handler_problem(handler: str, folder: Path) -> str | None:
    """Why Lambda would not find the handler's module in the folder; nothing is imported."""
    module, dot, function = handler.rpartition(".")
    if not (module and dot and function):
        return f"{handler}: expected MODULE.FUNCTION, such as app.handler"
    search: list[str] | None = [str(folder)]
    for part in module.replace("/", ".").split("."):
        spec = PathFinder.find_spec(part, search) if search else None
        if spec is None:
            return f"{handler}: there is no module {module} in {folder}; expected MODULE.FUNCTION, such as app.handler"
        search = list(spec.submodule_search_locations or ())
    return None


def function_name(folder: Path) -> str:
    """The folder's name with what Lambda allows in a function's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-")[:MAX_NAME] or "function"
