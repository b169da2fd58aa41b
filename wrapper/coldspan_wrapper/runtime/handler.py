"""Finds the function's handler by its name."""

import importlib
import sys

from coldspan_wrapper.runtime.errors import FaultException

STREAM_PARAMETER = "response_stream"
MAX_DECORATORS = 50

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
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
    """Whether it has a parameter `response_stream`, also below decorators that use functools.wraps. By hand: `inspect`
    costs 10 ms."""
    for _ in range(MAX_DECORATORS):
        inner = getattr(handler, "__wrapped__", None)
        if inner is None:
            break
        handler = inner
    call = getattr(handler, "__call__", None)  # noqa: B004 - of an object whose class has one
    code = getattr(handler, "__code__", None) or getattr(call, "__code__", None)
    if code is None:
        return False
    return STREAM_PARAMETER in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
