"""Freezing an environment's processes between invocations, and holding them to memory and CPU, by cgroup v1 or v2.

Where cgroups are not permitted, processes are stopped with SIGSTOP instead, and nothing is limited.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

CPU_PERIOD_US = 20_000
"""Lambda's own, so that a small share is felt in the same short pauses."""
POLL_S = 0.0005
MIB = 1_048_576

KERNEL_FILES = (Path("/proc/self/mountinfo"), Path("/proc/self/cgroup"))


Spawn = Callable[[], "subprocess.Popen[bytes]"]


class Confinement(Protocol):
    """What holds the processes of one environment."""

    @property
    def limited(self) -> bool:
        """Whether memory and CPU are."""

    def spawn(self, start: Spawn) -> "subprocess.Popen[bytes]":
        """Has `start` start a process that belongs to it. Raises what `start` raises."""

    async def freeze(self) -> None:
        """Returns when no process of the environment runs any more."""

    def thaw(self) -> None: ...
    @property
    def folders(self) -> list[Path]:
        """Its cgroups, if it is made of any."""

    def members(self) -> list[int]:
        """The processes that are in it, whatever group or session they moved to."""

    def set_cpu_share(self, cpus: float) -> None: ...
    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""

    def peak_memory_mib(self) -> int:
        """The most that was used, or 0 where that is not known."""

    def close(self) -> None: ...


class Signals:
    """SIGSTOP and SIGCONT for the process groups. A process that left its group runs on."""

    limited = False

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self._groups: list[int] = []

    def spawn(self, start: Spawn) -> "subprocess.Popen[bytes]":
        process = start()
        self._groups.append(process.pid)
        return process

    async def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def members(self) -> list[int]:
        return []

    def set_cpu_share(self, cpus: float) -> None:
        pass

    def oom_kills(self) -> int:
        return 0

    def peak_memory_mib(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def _send(self, number: signal.Signals) -> None:
        for group in list(self._groups):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                self._groups.remove(group)


class Cgroup:
    """A cgroup for one environment: one folder under v2, one for each controller under v1."""

    def __init__(self, folders: dict[str, Path], memory_mb: int | None) -> None:
        """`folders` by controller, "" standing for the unified hierarchy. Raises OSError where it is not permitted."""
        self._v2 = "" in folders
        self._frozen = False
        made: list[Path] = []
        try:
            for folder in folders.values():
                folder.mkdir()
                made.append(folder)
            self._freezer = folders["" if self._v2 else "freezer"]
            self._memory: Path | None = None
            if memory_mb is not None:
                self._memory = folders["" if self._v2 else "memory"]
                self._cpu = folders["" if self._v2 else "cpu"]
                self._limit_memory(memory_mb * MIB)
                self.set_cpu_share(1.0)  # fails here rather than later
        except BaseException:
            for folder in made:
                folder.rmdir()
            raise
        self.limited = memory_mb is not None
        self.folders = list(folders.values())

    def spawn(self, start: Spawn) -> "subprocess.Popen[bytes]":
        """Moving a process costs 10 ms and more, an RCU grace period. A thread that moves itself pays nothing, and what
        it starts is born where it is; but only v1 lets a thread be elsewhere than its process."""
        if not self._v2:
            with ThreadPoolExecutor(1) as spawner:
                return spawner.submit(self._start_inside, start).result()
        process = start()
        asyncio.get_running_loop().run_in_executor(None, self._move, process.pid)
        return process

    def _start_inside(self, start: Spawn) -> "subprocess.Popen[bytes]":
        for folder in self.folders:
            (folder / "tasks").write_text("0")
        return start()

    def _move(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            (self._freezer / "cgroup.procs").write_text(str(pid))

    async def freeze(self) -> None:
        self._frozen = True
        (self._freezer / ("cgroup.freeze" if self._v2 else "freezer.state")).write_text("1" if self._v2 else "FROZEN")
        while self._frozen and not self._is_frozen():
            await asyncio.sleep(POLL_S)

    def thaw(self) -> None:
        self._frozen = False
        (self._freezer / ("cgroup.freeze" if self._v2 else "freezer.state")).write_text("0" if self._v2 else "THAWED")

    def members(self) -> list[int]:
        pids = {int(pid) for pid in (self._freezer / "cgroup.procs").read_text().split()}
        return list(pids - {os.getpid()})  # a thread that spawned may not be quite gone yet

    def set_cpu_share(self, cpus: float) -> None:
        quota = max(1000, int(cpus * CPU_PERIOD_US))  # the kernel takes no less than 1 ms
        if self._v2:
            (self._cpu / "cpu.max").write_text(f"{quota} {CPU_PERIOD_US}")
        else:
            (self._cpu / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
            (self._cpu / "cpu.cfs_quota_us").write_text(str(quota))

    def oom_kills(self) -> int:
        if self._memory is None:
            return 0
        text = (self._memory / ("memory.events" if self._v2 else "memory.oom_control")).read_text()
        return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)

    def peak_memory_mib(self) -> int:
        if self._memory is None:
            return 0
        peak = self._memory / ("memory.peak" if self._v2 else "memory.max_usage_in_bytes")
        return int(peak.read_text()) // MIB if peak.exists() else 0  # memory.peak is there since Linux 5.19

    def close(self) -> None:
        for folder in self.folders:
            with contextlib.suppress(OSError):  # a process that the kernel is still taking apart
                folder.rmdir()

    def _is_frozen(self) -> bool:
        if self._v2:
            return "frozen 1" in (self._freezer / "cgroup.events").read_text()
        return (self._freezer / "freezer.state").read_text().strip() == "FROZEN"

    def _limit_memory(self, size: int) -> None:
        assert self._memory is not None
        names = (
            ("memory.max", "memory.swap.max") if self._v2 else ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        )
        (self._memory / names[0]).write_text(str(size))
        swap = self._memory / names[1]
        if swap.exists():  # Lambda does not swap
            swap.write_text("0" if self._v2 else str(size))


def confine(name: str, memory_mb: int | None, on_refusal: Callable[[str], None]) -> Confinement:
    """The best confinement that this machine permits. `memory_mb`: hold it to that much, and let its CPU be limited.

    `on_refusal` is told what could not be had.
    """
    wanted = ("freezer",) if memory_mb is None else ("freezer", "memory", "cpu")
    parents = parent_folders(*(file.read_text() for file in KERNEL_FILES))
    for controllers in (wanted, ("freezer",)):
        with contextlib.suppress(OSError, KeyError):
            folders = _folders(parents, controllers, name)
            confined = Cgroup(folders, memory_mb if controllers is wanted else None)
            if controllers is not wanted:
                on_refusal("memory and CPU are not limited: this needs permission to make cgroups for memory and cpu")
            return confined
    if memory_mb is not None:
        on_refusal("memory and CPU are not limited: this needs permission to make cgroups for memory and cpu")
    return Signals()


def _folders(parents: dict[str, Path], controllers: Iterable[str], name: str) -> dict[str, Path]:
    """Raises KeyError where a controller is in neither hierarchy."""
    if "freezer" in parents:
        return {controller: parents[controller] / name for controller in controllers}
    return {"": parents[""] / name}


def parent_folders(mountinfo: str, own: str) -> dict[str, Path]:
    """This process's own cgroups by controller, "" being the unified hierarchy, from /proc/self/mountinfo and cgroup.

    A new cgroup goes below its maker's, so that the maker's own limits hold for it too.
    """
    folders: dict[str, Path] = {}
    paths = {}
    for line in own.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mounted_at = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        names = [""] if kind == "cgroup2" else options.split(",") if kind == "cgroup" else []
        for name in names:
            if name in paths:
                below = os.path.relpath(paths[name], root)
                folders[name] = Path(mounted_at) if below.startswith("..") else Path(mounted_at, below)
    return folders
