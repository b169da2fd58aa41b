"""JSON without the json package, whose decoder brings `re` along: 13 ms. The C functions beneath it need neither."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring_ascii, make_scanner
except ImportError:  # another interpreter than CPython
    from json.encoder import encode_basestring_ascii

    make_scanner = None  # type: ignore[assignment,misc]


class _Context:
    """What the scanner reads its options from."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: "dict[str, str]" = {}  # noqa: RUF012 - the scanner's own


def loads(data: bytes) -> "Any":
    """The value of one JSON text in UTF-8. Raises ValueError, also for what follows it."""
    text = data.decode().strip()
    if make_scanner is None:
        import json

        return json.loads(text)
    try:
        value, end = make_scanner(_Context)(text, 0)  # type: ignore[arg-type]
    except StopIteration as stop:
        raise ValueError(f"no JSON value at {stop.value}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if end != len(text):
        raise ValueError(f"{len(text) - end} characters after the JSON value")
    return value


def dumps(value: "Any") -> str:
    """JSON in ASCII, without spaces. Numbers that are not finite become text, as in protobuf's JSON; what JSON has no
    type for becomes its text too."""
    if isinstance(value, str):
        return encode_basestring_ascii(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, float):
        return float.__repr__(value) if value - value == 0 else f'"{_NOT_FINITE.get(value, "NaN")}"'
    if isinstance(value, dict):
        return "{" + ",".join([f"{dumps(str(name))}:{dumps(item)}" for name, item in value.items()]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([dumps(item) for item in value]) + "]"
    return dumps(str(value))


_NOT_FINITE = {float("inf"): "Infinity", float("-inf"): "-Infinity"}
