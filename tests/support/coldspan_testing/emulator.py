"""AWS's runtime interface emulator with a layer tree at /opt, in namespaces of its own.

The emulator starts the extensions in /opt/extensions and nowhere else. So it gets a private mount namespace, in which
/opt is the tree and nothing else of the machine changes, and a private PID namespace, whose end ends all its processes.
Where the machine does not permit that, the test is skipped with the reason; where CI is set, it fails.
"""

import functools
import http.client
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

from coldspan_testing import cache
from coldspan_testing.ports import free_port

SAM_CLI = "aws-sam-cli==1.170.0"  # its wheel is where AWS publishes the emulator outside container images
MEMBER = "samcli/local/rapid/aws-lambda-rie-{arch}"
INVOKE_PATH = "/2015-03-31/functions/function/invocations"
LISTENING_TIMEOUT_S = 60.0
SHUTDOWN_TIMEOUT_S = 60.0  # the emulator itself gives extensions 2 s
POLL_S = 0.02


def binary() -> Path:
    """The emulator's executable for this machine, fetched once."""
    arch = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
    return cache.once(f"emulator/{SAM_CLI.replace('==', '-')}-{arch}", functools.partial(_fetch, arch))


def _fetch(arch: str, path: Path) -> None:
    downloads = path.with_name(f"{path.name}.download")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--dest", downloads, SAM_CLI], check=True)
    (wheel,) = downloads.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        path.write_bytes(opened.read(MEMBER.format(arch=arch)))
    path.chmod(0o755)
    wheel.unlink()
    downloads.rmdir()


@functools.cache
def isolated() -> list[str]:
    """The command prefix that gives a command its own mounts and processes; skips the test where that is refused."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    prefix = ["unshare", *as_root, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        subprocess.run([*prefix, "mount", "--bind", "/tmp", "/opt"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = f"this machine permits no private mount namespace: {getattr(error, 'stderr', None) or error}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return prefix


class Emulator:
    """The emulator from `with` to its end, invoked one request at a time, as it is made for.

    `command` is the runtime's, the handler its last word; `environment` is all that the function and its extensions
    get. Init happens at the first invocation; the end of `with` is a shutdown, which the extensions get to see.
    """

    def __init__(
        self, command: Sequence[str | Path], *, layer: Path, function: Path, environment: Mapping[str, str]
    ) -> None:
        self._command = [str(word) for word in command]
        self._layer = layer
        self._function = function
        self._environment = dict(environment)
        self._changed = threading.Condition()
        self._lines: list[str] = []

    def __enter__(self) -> "Emulator":
        api, front = free_port(), free_port()
        emulator = [self._binary(), "--log-level", "info", "--runtime-api-address", f"127.0.0.1:{api}"]
        emulator += ["--runtime-interface-emulator-address", f"127.0.0.1:{front}", *self._command]
        self._process = subprocess.Popen(
            [*isolated(), *self._prepared(), *emulator],
            cwd=self._function,
            env={"PATH": os.environ["PATH"], "LAMBDA_TASK_ROOT": str(self._function), **self._environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self._front = front
        try:
            self._wait_until_listening()
        except BaseException:
            self._kill()
            raise
        return self

    def _binary(self) -> str:
        return str(binary())

    def _prepared(self) -> list[str]:
        """The prefix that gives the emulator its surroundings, in namespaces of its own."""
        return ["sh", "-c", 'mount --bind "$0" /opt && exec "$@"', str(self._layer)]

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.shutdown()
        finally:
            self._kill()

    @property
    def output(self) -> list[str]:
        """Lines of the emulator, the function and the extensions, as they came."""
        with self._changed:
            return list(self._lines)

    def invoke(self, payload: bytes, timeout_s: float = 120.0) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers (names in lower case) and body of the emulator's answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._front, timeout=timeout_s)
        try:
            connection.request("POST", INVOKE_PATH, payload, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def wait_for_output(self, condition: Callable[[list[str]], bool], timeout_s: float = 60.0) -> None:
        """Returns when the output fulfils the condition. AssertionError, with the output, when it never does."""
        with self._changed:
            met = self._changed.wait_for(lambda: condition(self._lines), timeout_s)
        assert met, f"not met in {timeout_s} s by:\n{''.join(self.output)}"

    def shutdown(self) -> None:
        """The platform's shutdown: the extensions get SHUTDOWN and their two seconds, then all processes are gone."""
        if self._process.poll() is None:
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            for child in children:  # the one that unshare forked: the emulator
                os.kill(int(child), signal.SIGTERM)
        self._process.wait(SHUTDOWN_TIMEOUT_S)
        self._reader.join()

    def _wait_until_listening(self) -> None:
        waiting = threading.Event()
        for _ in range(int(LISTENING_TIMEOUT_S / POLL_S)):
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self._front)).close()
            except ConnectionRefusedError:
                waiting.wait(POLL_S)
            else:
                return
        self._kill()
        raise AssertionError(f"AWS's emulator does not listen:\n{''.join(self.output)}")

    def _kill(self) -> None:
        self._process.kill()  # --kill-child: the first process of the namespace dies with it, hence all of them
        self._process.wait()
        self._reader.join()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()
