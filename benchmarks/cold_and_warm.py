"""What the layer costs: cold start and warm response with and without it, in pairs, under the local Lambda service.

    make bench                        # ARGS="--pairs 40 --memory 512" for other settings

A pair is two environments made one after the other, without and with the layer, in alternating order: each is invoked
once (cold: what the caller waits for, init included), then WARM times (its median). The layer exports every trace over
OTLP/HTTP to a collector on loopback. What is printed is the median over the pairs, and the median of the differences
within the pairs: two medians of a noisy machine differ by its mood, two neighbours in time by the layer.
"""

import argparse
import asyncio
import platform
import statistics
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from coldspan_lab import tree_cache
from coldspan_lab.collector import Collector
from coldspan_lab.service import Function, LocalLambda, Moment
from coldspan_report.traces import SERVER, spans_of

FUNCTIONS = {
    "trivial": Path(__file__).parent / "functions" / "trivial",
    "boto3": Path(__file__).parent / "functions" / "boto3",
}
WARM = 30
FREE = (Moment.RUNTIME_READY, Moment.EXTENSIONS_READY)
"""The later of these is when the environment may freeze; without extensions there is only the first."""
MS = 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds."""

    cold: float
    warm: float
    after_cold: float
    """From the first response's acceptance until the environment was free: billed, but nobody waits for it."""
    after_warm: float


async def sample(function: Function, layer: Path | None) -> Sample:
    async with LocalLambda(function, layer=layer) as service:
        cold = await _invoke(service)
        warm = [await _invoke(service) for _ in range(WARM)]
        accepted = {m.request_id: m.time_unix_ns for m in service.timeline if m.what is Moment.RESPONSE_ACCEPTED}
        free = {m.request_id: m.time_unix_ns for m in service.timeline if m.what in FREE}
    after = [(free[request_id] - begin_ns) / MS for request_id, begin_ns in accepted.items()]
    return Sample(cold, statistics.median(warm), after[0], statistics.median(after[1:]))


async def _invoke(service: LocalLambda) -> float:
    began_ns = time.perf_counter_ns()
    answer = await service.invoke()
    took_ms = (time.perf_counter_ns() - began_ns) / MS
    if answer.function_error:
        raise SystemExit(f"the function failed: {answer.payload!r}")
    await service.wait_frozen()
    return took_ms


async def pairs(name: str, count: int, layer: Path, memory_mb: int | None) -> list[tuple[Sample, Sample]]:
    measured = []
    async with Collector() as collector:
        function = Function(
            FUNCTIONS[name],
            memory_mb=memory_mb or 1769,
            limit_resources=memory_mb is not None,
            environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint},
        )
        await sample(function, layer)  # warms the file cache
        for number in range(count):
            if number % 2:
                with_layer, bare = await sample(function, layer), await sample(function, None)
            else:
                bare, with_layer = await sample(function, None), await sample(function, layer)
            measured.append((bare, with_layer))
        servers = [span for export in collector.exports for span in spans_of(export) if span.kind == SERVER]
    if len(servers) != (count + 1) * (WARM + 1):
        raise SystemExit(f"{len(servers)} traces arrived, expected {(count + 1) * (WARM + 1)}")
    return measured


def table(name: str, measured: list[tuple[Sample, Sample]]) -> list[str]:
    lines = [f"{name}: {len(measured)} pairs, ms", f"{'':22}{'bare':>9}{'layer':>9}{'difference':>12}{'ratio':>8}"]
    for label, field in (
        ("cold start", "cold"),
        ("warm response", "warm"),
        ("free again, cold", "after_cold"),
        ("free again, warm", "after_warm"),
    ):
        bare = [getattr(before, field) for before, _ in measured]
        layer = [getattr(after, field) for _, after in measured]
        difference = statistics.median(after - before for before, after in zip(bare, layer, strict=True))
        b, a = statistics.median(bare), statistics.median(layer)
        lines.append(f"  {label:20}{b:9.2f}{a:9.2f}{difference:+12.2f}{a / b:8.2f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="default 20")
    parser.add_argument("--memory", type=int, help="MB: holds the function to its CPU share and memory, by cgroup")
    arguments = parser.parse_args()
    version = "{}.{}".format(*sys.version_info)
    layer = tree_cache.layer_tree(tree_cache.cache_folder(), version)
    print(
        f"Python {platform.python_version()}, awslambdaric {metadata.version('awslambdaric')}, "
        f"{platform.machine()}, memory {arguments.memory or 'unlimited'}"
    )
    for name in FUNCTIONS:
        measured = asyncio.run(pairs(name, arguments.pairs, layer, arguments.memory))
        print("\n".join(table(name, measured)))


if __name__ == "__main__":
    main()
