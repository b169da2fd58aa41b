"""The cgroup of one environment: its CPU quota, and what the kernel counts of it."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coldspan_bench.errors import Unavailable
from coldspan_lab.cgroups import CPU_PERIOD_US, KERNEL_FILES, parent_folders

NS_PER_US = 1000


@dataclass(frozen=True, slots=True)
class Freezer:
    file: Path
    freeze: str
    thaw: str
    frozen: Path
    frozen_text: str
    outside: Path
    """Takes the id of a process that shall not be frozen."""


@dataclass(frozen=True, slots=True)
class Confinement:
    processes: list[Path]
    """Files that take a process's id."""
    quota: Path
    unlimited: str
    usage: Path
    usage_key: str
    usage_unit_ns: int
    throttled: Path
    freezer: Freezer

    def quota_text(self, cpus: float | None) -> str:
        """What `quota` takes; None: no limit."""
        if cpus is None:
            return self.unlimited
        share = max(1000, round(cpus * CPU_PERIOD_US))  # the kernel takes no less than 1 ms
        return f"{share} {CPU_PERIOD_US}" if self.quota.name == "cpu.max" else str(share)


@contextmanager
def confinement() -> Iterator[Confinement]:
    """Raises Unavailable where cgroups are not permitted."""
    parents = parent_folders(*(file.read_text() for file in KERNEL_FILES))
    name = f"coldspan-bench-{os.getpid()}"
    controllers = ("cpu", "cpuacct", "freezer") if "cpu" in parents else ("",)
    made: list[Path] = []
    try:
        try:
            for controller in controllers:
                folder = parents[controller] / name
                folder.mkdir(exist_ok=folder in made)  # v1 often has both in one hierarchy
                made.append(folder)
            found = _v1(*made) if len(made) > 1 else _v2(made[0])
            found.quota.write_text(found.unlimited)
        except (OSError, KeyError) as error:
            raise Unavailable(f"CPU is not limited: this needs permission to make cgroups ({error})") from error
        yield found
    finally:
        for folder in dict.fromkeys(made):  # the last process of a run may not be quite gone
            with contextlib.suppress(OSError):
                folder.rmdir()


def _v1(cpu: Path, accounting: Path, freezer: Path) -> Confinement:
    (cpu / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
    folders = dict.fromkeys((cpu, accounting, freezer))
    state = freezer / "freezer.state"
    return Confinement(
        [folder / "cgroup.procs" for folder in folders],
        quota=cpu / "cpu.cfs_quota_us",
        unlimited="-1",
        usage=accounting / "cpuacct.usage",
        usage_key="",
        usage_unit_ns=1,
        throttled=cpu / "cpu.stat",
        freezer=Freezer(state, "FROZEN", "THAWED", state, "FROZEN", freezer.parent / "cgroup.procs"),
    )


def _v2(folder: Path) -> Confinement:
    return Confinement(
        [folder / "cgroup.procs"],
        quota=folder / "cpu.max",
        unlimited=f"max {CPU_PERIOD_US}",
        usage=folder / "cpu.stat",
        usage_key="usage_usec ",
        usage_unit_ns=NS_PER_US,
        throttled=folder / "cpu.stat",
        freezer=Freezer(
            folder / "cgroup.freeze",
            "1",
            "0",
            folder / "cgroup.events",
            "frozen 1",
            folder.parent / "cgroup.procs",
        ),
    )
