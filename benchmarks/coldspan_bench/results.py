"""The results file: what was measured, on what, when, by which command. JSON; `situations` has the raw rounds."""

import datetime
import os
import platform
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from coldspan_bench import peers
from coldspan_bench.configurations import Configuration, coldspan_layer
from coldspan_bench.errors import Unavailable
from coldspan_bench.runner import Record
from coldspan_bench.situations import Situation
from coldspan_bench.toolchain import Toolchain
from coldspan_layer import builder, sizes

DIGITS = 4


def unavailable(tools: Toolchain, configurations: list[Configuration]) -> dict[str, str]:
    """Why some cannot be measured here, by name. What the others need is there afterwards."""
    reasons = {}
    for configuration in configurations:
        try:
            configuration.layer(tools)
        except Unavailable as reason:
            reasons[configuration.name] = str(reason)
    return reasons


def head(tools: Toolchain, configurations: list[Configuration], skipped: dict[str, str], rounds: int) -> dict[str, Any]:
    """Everything but the situations. `configurations`: those that can be measured."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-Im", "coldspan_bench", *sys.argv[1:]]),
        "machine": machine(),
        "versions": {"coldspan": metadata.version("coldspan"), **tools.versions()},
        "peers": _peers(tools, {each.name for each in configurations}),
        "skipped": skipped,
        "rounds": rounds,
        "layer": _layer_sizes(tools),
        "situations": {},
    }


def machine() -> dict[str, Any]:
    """`load` is how many processes wanted a CPU, on average over the last minute: near 0 where it is quiet."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model or platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": memory // 1_048_576,
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
    }


def of_situation(situation: Situation, records: dict[str, Record]) -> dict[str, Any]:
    return {
        "title": situation.title,
        "figures": list(situation.figures),
        "configurations": {
            name: {"skipped": record.skipped}
            if record.skipped is not None
            else {"rounds": [{name: round(value, DIGITS) for name, value in each.items()} for each in record.rounds]}
            for name, record in records.items()
        },
    }


def _layer_sizes(tools: Toolchain) -> dict[str, Any]:
    """Bytes of the layer that is measured, by its parts; zipped only where this benchmark may build it."""
    tree = coldspan_layer(tools)
    if tools.coldspan_layer is not None:
        return {part.name: {"unzipped": part.unzipped_bytes} for part in sizes.of_tree(tree)}
    zipped = tools.cache / f"{tree.name}.zip"
    if not zipped.exists():
        builder.build(zipped, python=tools.version, arch=builder.current_arch())
    return {part.name: {"unzipped": part.unzipped_bytes, "zipped": part.zipped_bytes} for part in sizes.of_zip(zipped)}


def _peers(tools: Toolchain, wanted: set[str]) -> dict[str, Any]:
    return {
        peer.name: {"versions": peers.versions(tools, peers.layer_of(peer)(tools), peer), "traces": peer.traces}
        for peer in peers.PEERS
        if peer.name in wanted
    }
