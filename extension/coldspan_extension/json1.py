"""JSON without the json package, whose decoder brings `re` along: 13 ms. The C scanner beneath it needs neither."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import make_scanner
except ImportError:  # another interpreter than CPython
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
