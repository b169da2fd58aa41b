"""Finds the function's handler by its name."""

import importlib
import sys

from coldspan_wrapper.runtime.errors import FaultException

STREAM_PARAMETER = "response_stream"
MAX_DECORATORS = 50
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200
"""Flags of a code object, as inspect.CO_GENERATOR and kin."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType
    from typing import Any


def load(name: str) -> "Callable[..., Any]":
    """`name` is module.function, the module with dots or slashes. Raises FaultException, or what the module raises."""
    module_name, dot, function = name.rpartition(".")
    if not dot:
        message = f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)"
        raise FaultException(FaultException.MALFORMED_HANDLER_NAME, message)
    try:
        if module_name.split(".")[0] in sys.builtin_module_names:
            message = f"Cannot use built-in module {module_name} as a handler module"
            raise FaultException(FaultException.BUILT_IN_MODULE_CONFLICT, message)
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise FaultException(FaultException.IMPORT_MODULE_ERROR, message) from error
    except SyntaxError as error:
        message = f"Syntax error in module '{module_name}': {error}"
        stack = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise FaultException(FaultException.USER_CODE_SYNTAX_ERROR, message, stack) from error
    try:
        found: Callable[..., Any] = getattr(module, function)
    except AttributeError:
        message = f"Handler '{function}' missing on module '{module_name}'"
        raise FaultException(FaultException.HANDLER_NOT_FOUND, message) from None
    return found


def takes_stream(handler: object) -> bool:
    """Whether it has a parameter `response_stream`."""
    code = _code_of(handler)
    return code is not None and STREAM_PARAMETER in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def prepare(handler: object) -> None:
    """Imports what the handler will need to answer, as far as its code tells: not while a caller waits."""
    code = _code_of(handler)
    flags = code.co_flags if code is not None else 0
    if takes_stream(handler) or flags & (_GENERATOR | _COROUTINE | _ASYNC_GENERATOR):
        import coldspan_wrapper.runtime.stream
    if flags & (_COROUTINE | _ASYNC_GENERATOR):
        import coldspan_wrapper.runtime.aio  # noqa: F401


def _code_of(handler: object) -> "CodeType | None":
    """Also below decorators that use functools.wraps. By hand: `inspect` costs 10 ms."""
    for _ in range(MAX_DECORATORS):
        inner = getattr(handler, "__wrapped__", None)
        if inner is None:
            break
        handler = inner
    call = getattr(handler, "__call__", None)  # noqa: B004 - of an object whose class has one
    return getattr(handler, "__code__", None) or getattr(call, "__code__", None)
