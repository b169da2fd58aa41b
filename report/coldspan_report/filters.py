"""Which spans the questions see, from what a user typed. Pure: the time of day comes in as an argument."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RELATIVE = re.compile(r"(\d{1,6})([mhdw])")
EXPECTED = "expected a time such as 2026-11-24T13:00 (UTC where no offset is given), or one ago: 90m, 24h, 7d, 2w"


class Invalid(ValueError):
    """What was typed, and what was expected."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Instants are ns since the Unix epoch; the end is excluded. A trace across a bound has the spans inside it."""

    service: str | None = None
    version: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None

    @property
    def condition(self) -> str:
        """In DuckDB's dialect; empty where everything is wanted."""
        parts = [] if self.service is None else [f"service = {_quoted(self.service)}"]
        parts += [] if self.version is None else [f"version = {_quoted(self.version)}"]
        parts += [] if self.since_ns is None else [f"start_ns >= {self.since_ns}"]
        parts += [] if self.until_ns is None else [f"start_ns < {self.until_ns}"]
        return " AND ".join(parts)

    def __str__(self) -> str:
        parts = [] if self.service is None else [f"service {self.service}"]
        parts += [] if self.version is None else [f"version {self.version}"]
        parts += [] if self.since_ns is None else [f"since {iso(self.since_ns)}"]
        parts += [] if self.until_ns is None else [f"until {iso(self.until_ns)}"]
        return ", ".join(parts)


def instant_ns(text: str, now_ns: int) -> int:
    """Raises Invalid."""
    if text == "now":
        return now_ns
    if relative := _RELATIVE.fullmatch(text):
        ago = timedelta(**{_UNITS[relative[2]]: int(relative[1])})
        return now_ns - ago // timedelta(microseconds=1) * 1000
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Invalid(f"{text!r}: {EXPECTED}") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return (moment - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) * 1000


Sides = tuple[tuple[str, Filter], tuple[str, Filter]]


def sides(text: str, within: Filter, now_ns: int) -> Sides:
    """What `--compare A..B` names, each with its label: two versions, or two windows FROM/TO. Raises Invalid."""
    first, separator, second = text.partition("..")
    if not separator or not first or not second:
        raise Invalid(f"{text!r}: expected A..B, two versions such as 41..42, or two windows such as 48h/24h..24h/now")
    return (first, _side(first, within, now_ns)), (second, _side(second, within, now_ns))


def _side(text: str, within: Filter, now_ns: int) -> Filter:
    if "/" not in text:
        return replace(within, version=text)
    since, until = (instant_ns(part, now_ns) for part in text.split("/", 1))
    if since >= until:
        raise Invalid(f"{text!r}: the window ends before it begins")
    return replace(within, since_ns=since, until_ns=until)


def iso(instant_ns: int) -> str:
    return datetime.fromtimestamp(instant_ns / 1e9, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
