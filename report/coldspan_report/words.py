"""What traces and spans say in words, the same in the terminal and on a page. Pure."""

from datetime import datetime, timezone

from coldspan_report import coldstart
from coldspan_report.traces import ERROR, SERVER, Span, Trace

MS = 1_000_000


def start_word(trace: Trace) -> str:
    """cold or warm; of a trace without a request the name of its first span, such as init."""
    root = trace.root
    if root.kind != SERVER:
        return printable(root.name)
    return "cold" if root.attributes.get("faas.coldstart") is True else "warm"


def numbers(root: Span) -> str:
    """Idle time, our own cost and what was dropped, as far as the span tells."""
    overheads = {name: f"{short(seconds * 1000)} ms" for name, seconds in _figures(root, "coldspan.overhead.").items()}
    dropped = {name: str(count) for name, count in _figures(root, "coldspan.dropped.").items() if count}
    parts = [f"idle {short(seconds * 1000)} ms" for seconds in _figures(root, "coldspan.idle.").values()]
    if overheads:
        parts.append("overhead: " + ", ".join(f"{name} {figure}" for name, figure in overheads.items()))
    if dropped:
        parts.append("dropped: " + ", ".join(f"{count} {name}" for name, count in dropped.items()))
    return printable(" | ".join(parts))


def _figures(span: Span, prefix: str) -> dict[str, float]:
    return {
        key.removeprefix(prefix): value
        for key, value in sorted(span.attributes.items())
        if key.startswith(prefix) and isinstance(value, (int, float))
    }


def status(span: Span) -> str:
    """How the span failed, what failed in it and was caught, and whether it was open when its process ended."""
    parts = []
    if span.status_code == ERROR:
        parts.append(f"error {span.attributes.get('error.type', '')}".rstrip())
    elif caught := coldstart.caught(span):
        parts.append(f"caught {caught}")
    if span.attributes.get("coldspan.truncated") is True:
        parts.append("truncated")
    return printable(", ".join(parts))


def place(span: Span) -> str:
    """Where an import statement stands, such as app.py:6; empty where that is not known."""
    return printable(coldstart.place(span))


def instant(unix_ns: int) -> str:
    """To the second, UTC."""
    return datetime.fromtimestamp(unix_ns // 10**9, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def short(ms: float) -> str:
    """Whole from 10 on, one decimal below."""
    return f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}"


def printable(text: str, keep: str = "") -> str:
    """Spans come from other processes: what would move a terminal's cursor, change its colours or the direction of a
    text is not passed on, but for the characters of `keep`."""
    return "".join(
        character if character.isprintable() or character in keep else "\N{REPLACEMENT CHARACTER}" for character in text
    )
