"""Events and responses as JSON, byte for byte as the managed runtime has them.

That runtime encodes with simplejson: a Decimal is a number, a named tuple (all that has `_asdict`) an object, bytes are
their text. The standard library's encoder, in C, has the same bytes for plain data; what is not plain goes through the
same rules in Python. `_json` is the C part of `json`, without the package around it, which costs 2 ms.
"""

import marshal
import os
import sys
from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

from coldspan_wrapper.runtime.errors import FaultException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

JSON, BYTES = "application/json", "application/unknown"

_SPELLS_UNICODE = tuple(f"AWS_Lambda_python3.{minor}" for minor in (12, 13, 14, 15))
"""Environments (AWS_EXECUTION_ENV) in which the managed runtime does not escape what is not ASCII."""
_BLANK = " \t\n\r"
_NO_REFERENCES = 2
"""Version of marshal's format that does not look for objects that occur twice."""


def decode_event(body: bytes, content_type: "str | None") -> object:
    """Raises FaultException. What is not JSON by its type is the bytes as they came."""
    if content_type != JSON:
        return body
    try:
        return _loads(body)
    except Exception as error:
        raise FaultException(FaultException.UNMARSHAL_ERROR, f"Unable to unmarshal input: {error}") from None


def encode_response(value: object) -> "tuple[bytes | str, str]":
    """The body, and its content type. Raises FaultException."""
    if isinstance(value, bytes):
        return value, BYTES
    try:
        return to_json(value), JSON
    except Exception as error:
        raise FaultException(FaultException.MARSHAL_ERROR, f"Unable to marshal response: {error}") from None


def _loads(body: bytes) -> object:
    text = str(body, "utf-8")
    start = len(text) - len(text.lstrip(_BLANK + "\ufeff" if text.startswith("\ufeff") else _BLANK))
    try:
        value, end = _scan(text, start)
    except StopIteration as stop:
        raise _error("Expecting value", text, stop.value) from None
    if text[end:].strip(_BLANK):
        raise _error("Extra data", text, end)
    return value


def _error(message: str, text: str, place: int) -> Exception:
    from json import JSONDecodeError

    return JSONDecodeError(message, text, place)


class _Syntax:
    """What the scanner reads its settings from."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> object:
        raise ValueError(f"{name} is no JSON")


_scan = make_scanner(_Syntax)  # type: ignore[arg-type]  # typeshed has it as made from one of its own


def _refuse(value: object) -> "NoReturn":
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_quote = encode_basestring if os.environ.get("AWS_EXECUTION_ENV") in _SPELLS_UNICODE else encode_basestring_ascii
_encode_plain = make_encoder(None, _refuse, _quote, None, ": ", ", ", False, False, True)


def to_json(value: object) -> str:
    """Raises TypeError, ValueError, RecursionError, and what the value's own code raises."""
    try:
        # At C's speed it refuses what is not of a built-in type itself, subclasses and circles included.
        marshal.dumps(value, _NO_REFERENCES)  # type: ignore[arg-type]  # it is a question
        return "".join(_encode_plain(value, 0))
    except (TypeError, ValueError):
        return _encode(value, set())


def _encode(value: object, around: "set[int]") -> str:
    """`around`: the ids of what the value is within."""
    if value is None:
        return "null"
    if isinstance(value, (str, bytes, int, float)):
        return _quote(_text(value)) if isinstance(value, (str, bytes)) else _text(value)
    if id(value) in around:
        raise ValueError("Circular reference detected")
    around.add(id(value))
    fields = _fields(value)
    if fields is not None or isinstance(value, dict):
        members = (value if fields is None else fields).items()  # type: ignore[attr-defined]
        pairs = []
        for key, member in members:  # no comprehension: before 3.12 its frame would halve the depth that is possible
            pairs.append(f"{_quote(_key(key))}: {_encode(member, around)}")
        encoded = f"{{{', '.join(pairs)}}}"
    elif isinstance(value, (list, tuple)):
        items = []
        for item in value:
            items.append(_encode(item, around))
        encoded = f"[{', '.join(items)}]"
    else:
        encoded = _decimal(value)
    around.discard(id(value))
    return encoded


def _fields(value: object) -> "dict[object, object] | None":
    """Of a named tuple, and whatever else presents itself as one."""
    as_dict = getattr(value, "_asdict", None)
    if not callable(as_dict):
        return None
    try:
        fields = as_dict()
    except TypeError:  # the class itself, whose method wants an object
        return None
    if not isinstance(fields, dict):
        raise TypeError(f"_asdict() must return a dict, not {type(fields).__name__}")
    return fields


def _decimal(value: object) -> str:
    module = sys.modules.get("decimal")  # not loaded: then it is none
    if module is None or not isinstance(value, module.Decimal):
        _refuse(value)
    return "NaN" if value.is_nan() else str(value)


def _key(key: object) -> str:
    if key is None:
        return "null"
    if not isinstance(key, (str, bytes, int, float)):
        raise TypeError(f"keys must be str, int, float, bool or None, not {type(key).__name__}")
    return _text(key)


def _text(value: "str | bytes | int | float") -> str:
    """Of a value or a key; a subclass, an enumeration's member for example, is what it is a subclass of."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    return "".join(_encode_plain(float(value), 0))
