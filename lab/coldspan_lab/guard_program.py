"""Ends what a lab that died could not end itself. A program of its own, which outlives the lab by a moment.

Standard input is a pipe from the lab, one line for each environment: the path of its channel and the folders of its
cgroups, tab-separated. The pipe closes when the lab ends, however it ends. What is then left of an environment are the
processes that have its channel among their variables; after an orderly end there are none.
"""

import contextlib
import errno
import os
import signal
import sys
import time

THAW = {"freezer.state": "THAWED", "cgroup.freeze": "0"}
ROUNDS = 100
"""How often the processes are looked for: one that is being killed may have started another one meanwhile."""
PAUSE_S = 0.01


def main() -> None:
    environments = [line.rstrip("\n").split("\t") for line in sys.stdin]
    for _, *cgroups in environments:
        for folder in cgroups:
            _thaw(folder)
    channels = {f"COLDSPAN_CHANNEL={channel}".encode() for channel, *_ in environments}
    for _ in range(ROUNDS):
        left = [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_of(pid, channels)]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if not left:
            break
    for channel, *cgroups in environments:
        with contextlib.suppress(OSError):
            os.unlink(channel)
        for folder in [*cgroups, os.path.dirname(channel)]:
            _remove(folder)


def _thaw(folder: str) -> None:
    for name, thawed in THAW.items():
        # r+ makes no file; where the cgroup is gone, there is nothing to thaw.
        with contextlib.suppress(OSError), open(os.path.join(folder, name), "r+") as state:
            state.write(thawed)


def _is_of(pid: str, channels: set[bytes]) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return not channels.isdisjoint(file.read().split(b"\0"))
    except OSError:  # it has ended, or is somebody else's
        return False


def _remove(folder: str) -> None:
    """A cgroup is busy until the kernel has taken its last process apart."""
    for _ in range(ROUNDS):
        try:
            os.rmdir(folder)
            return
        except OSError as error:
            if error.errno != errno.EBUSY:
                return  # it is gone, or not ours alone
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
