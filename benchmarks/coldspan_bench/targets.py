"""What coldspan promises to cost, held against a results file. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from coldspan_bench import summary

DEFAULT, AT_ONCE, DEFERRED, SDK = "coldspan", "coldspan lean end", "coldspan lean deferred", "coldspan sdk end"
THROTTLED = "throttled by response"
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    title: str
    situation: str
    configuration: str
    figure: str
    limit: float
    over: str = ""
    """bare or floor: the limit is of the difference to it; empty: of the figure itself."""
    unit: str = "ms"


TARGETS = (
    Target("cold start, trivial function, 2 vCPU", "trivial", DEFAULT, "cold", 10, "bare"),
    Target("the same, over a static C extension", "trivial", DEFAULT, "cold", 6, "floor"),
    Target("cold start, boto3 + pydantic, 1 vCPU", "imports", DEFAULT, "cold", 18, "bare"),
    Target("first response at 0.29 vCPU (512 MB)", "imports-512", DEFAULT, "first response", 1, "bare"),
    Target("first response at 0.072 vCPU (128 MB)", "imports-128", DEFAULT, "first response", 2, "bare"),
    Target(
        "throttled periods until then, 0.29 vCPU", "imports-512", DEFAULT, "throttled by response", 0, "bare", "periods"
    ),
    Target(
        "throttled periods until then, 0.072 vCPU",
        "imports-128",
        DEFAULT,
        "throttled by response",
        0,
        "bare",
        "periods",
    ),
    Target("warm response, 2 vCPU", "trivial", DEFAULT, "warm response", 0.15, "bare"),
    Target("free after a warm response, deferred, 2 vCPU", "trivial", DEFERRED, "free after warm", 0.5, "bare"),
    Target("free after a warm response, deferred, 0.072", "imports-128", DEFERRED, "free after warm", 10, "bare"),
    Target("free after the first response, at once, 2 vCPU", "trivial", AT_ONCE, "free after first", 8),
    Target("the same, 0.29 vCPU", "imports-512", AT_ONCE, "free after first", 30),
    Target("the same, 0.072 vCPU", "imports-128", AT_ONCE, "free after first", 150),
    Target("the same to https, the layer's trust store, 2 vCPU", "https-shipped", AT_ONCE, "free after first", 60),
    Target("the same to https, 0.072 vCPU", "https-shipped-128", AT_ONCE, "free after first", 900),
    Target("SHUTDOWN at 0.072 vCPU: event to trace", "shutdown", DEFERRED, "event to trace", 1200),
    Target("extension memory before an export", "memory", DEFAULT, "extension memory before", 12, unit="MiB"),
    Target("extension memory after, lean", "memory", AT_ONCE, "extension memory after", 15, unit="MiB"),
    Target("extension memory after, sdk", "memory", SDK, "extension memory after", 38, unit="MiB"),
    Target("wrapper in the function's process", "memory", DEFAULT, "runtime memory after", 1, "bare", "MiB"),
)
LAYER_LIMITS = (("layer, zipped", "zipped", 4.0), ("layer, unzipped", "unzipped", 12.0))
"""MB."""


@dataclass(frozen=True, slots=True)
class Verdict:
    title: str
    configuration: str
    limit: str
    measured: str
    met: bool | None
    """None: it was not measured."""


def verdicts(results: dict[str, Any]) -> Iterator[Verdict]:
    for target in TARGETS:
        yield _verdict(target, results["situations"])
    for title, key, limit in LAYER_LIMITS:
        found = [part[key] for part in results["layer"].values() if key in part]
        size = sum(found) / MB
        measured = f"{size:.2f} MB" if found else "not measured"
        yield Verdict(title, "", f"≤ {limit:g} MB", measured, size <= limit if found else None)


def _verdict(target: Target, situations: dict[str, Any]) -> Verdict:
    sign = "+" if target.over else ""
    limit = f"≤ {sign}{target.limit:g} {target.unit}"
    situation = situations.get(target.situation)
    found = summary.figure(situation, target.configuration, target.figure) if situation else None
    value = {"": found.median, "bare": found.over_bare, "floor": found.over_floor}[target.over] if found else None
    if value is None:
        return Verdict(target.title, target.configuration, limit, "not measured", None)
    measured = f"{value:{sign}.3g} {target.unit}"
    return Verdict(target.title, target.configuration, limit, measured, value <= target.limit)
