"""Returns what its event names: every kind of value that a function may return."""

import enum
from collections import OrderedDict, defaultdict, namedtuple
from decimal import Decimal

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Name(str, enum.Enum):
    SHORT = "ü"


class Ratio(float):
    def __repr__(self):
        return "a ratio"


class Presents:
    def __init__(self, fields):
        self.fields = fields

    def _asdict(self):
        return self.fields


class Plain:
    pass


class Raises:
    def _asdict(self):
        raise ZeroDivisionError("no fields")


circle: list[object] = []
circle.append(circle)
circle_of_points = {"p": Point(1, {})}
circle_of_points["p"].y["again"] = circle_of_points
deep: list[object] = []
for _ in range(900):
    deep = [deep]

VALUES = {
    "plain": {"a": [1, -2.5, True, None, 'é\u2028😀\x7f"\\/\n\x00'], "b": {}, "c": [], "d": (1, (2,)), "": 10**30},
    "floats": [1e300, 1e-7, 0.1, -0.0, 1.0, float("nan"), float("inf"), float("-inf"), 123456789012345680.0],
    "decimals": [
        Decimal("1.10"),
        Decimal("1E+3"),
        Decimal("-0"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        Decimal("sNaN"),
    ],
    "named tuples": [Point(1, Point("a", None)), {"deep": [Point([], {})]}],
    "a named tuple": Point(Decimal("3.14"), b"bytes"),
    "presents": [Presents({}), Presents({"a": Presents({1: 2})})],
    "presents no dict": Presents([1]),
    "raising": Raises(),
    "a class": Point,
    "bytes": {"a": b"text \xc3\xa9", b"key": 1},
    "bad bytes": [b"\xff"],
    "raw bytes": b"\x00\xff raw",
    "bytearray": bytearray(b"x"),
    "text": "just text é",
    "subclass of text": Name.SHORT,
    "empty text": "",
    "none": None,
    "enums": [Colour.RED, Name.SHORT, {Colour.RED: Name.SHORT, Name.SHORT: 1}, Ratio(2.5), Ratio("inf")],
    "keys": {2: "a", 2.5: "b", True: "c", False: "x", None: "d", float("nan"): "e", 10**20: "f", Ratio(3.5): "g"},
    "a tuple as key": {(1, 2): 3},
    "a decimal as key": {Decimal(1): 3},
    "dicts": [OrderedDict(b=1, a=2), defaultdict(list, z=[Decimal(1)])],
    "set": {1},
    "complex": [1j],
    "object": [{"a": Plain()}],
    "iterable": range(3),
    "circle": circle,
    "circle of points": circle_of_points,
    "deep": deep,
    "deep points": [deep, Point(1, 2)],
    "surrogate": {"a": "\ud800"},
    "huge": 10**5000,
    "large": {"items": [{"id": i, "price": Decimal(i), "name": "n" * 20} for i in range(2000)]},
}


def handler(event, context):
    return VALUES[event]
