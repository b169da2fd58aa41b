"""Freezing and confining real processes, in each way that this machine permits."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from coldspan_lab.cgroups import Cgroup, Confinement, Signals, parent_folders

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
"""
V2 = "29 22 0:25 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_new_cgroups_lie_below_our_own_in_every_hierarchy() -> None:
    own = "9:freezer:/\n4:memory:/docker/abc/inner\n1:cpu,cpuacct:/user\n"
    assert parent_folders(V1, own) == {
        "cpu": Path("/sys/fs/cgroup/cpu,cpuacct/user"),
        "cpuacct": Path("/sys/fs/cgroup/cpu,cpuacct/user"),
        "memory": Path("/sys/fs/cgroup/memory/inner"),
        "freezer": Path("/sys/fs/cgroup/freezer"),
    }
    assert parent_folders(V2, "0::/user.slice/me\n") == {"": Path("/sys/fs/cgroup/user.slice/me")}


def test_a_cgroup_outside_of_what_is_mounted_is_made_at_the_top_of_it() -> None:
    assert parent_folders(V1, "4:memory:/elsewhere\n") == {"memory": Path("/sys/fs/cgroup/memory")}


def confinements() -> dict[str, Callable[[], Confinement]]:
    name = f"coldspan-test-{uuid.uuid4().hex}"
    parents = parent_folders(Path("/proc/self/mountinfo").read_text(), Path("/proc/self/cgroup").read_text())
    v1 = parents.get("freezer", Path("/no-freezer")) / name
    v2 = parents.get("", Path("/no-cgroup2")) / name
    return {
        "signals": Signals,
        "cgroup v1": lambda: Cgroup({"freezer": v1}, None),
        "cgroup v2": lambda: Cgroup({"": v2}, None),
    }


@pytest.mark.parametrize("kind", ["signals", "cgroup v1", "cgroup v2"])
def test_a_frozen_process_uses_no_cpu_until_it_is_thawed(kind: str) -> None:
    try:
        confinement = confinements()[kind]()
    except OSError as error:
        pytest.skip(f"{kind} is not permitted here: {error}")

    async def scenario() -> None:
        program = "import sys\nwhile True:\n sys.stdout.write('.')\n sys.stdout.flush()\n"
        start = lambda: subprocess.Popen(  # noqa: E731
            [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True
        )
        process = confinement.spawn(start)
        assert process.stdout is not None
        try:
            process.stdout.read(1)
            await asyncio.get_running_loop().shutdown_default_executor()  # v2 moves it there in a thread of its own
            await confinement.freeze()
            before = cpu_ticks(process.pid)
            subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)
            assert cpu_ticks(process.pid) == before
            confinement.thaw()
            while cpu_ticks(process.pid) == before:
                process.stdout.read(1)
        finally:
            confinement.thaw()
            process.kill()
            process.wait()
            process.stdout.close()
            confinement.close()

    asyncio.run(scenario())


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
