"""What coldspan's own runtime takes, beside AWS's runtime client: in rounds, each of one start of every runtime.

    make bench                        # or: .venv/bin/python -I benchmarks/runtime.py --rounds 40

The Runtime API is a socket in this process. Measured are: from the start of the process to its first question for an
event (the function does nothing); an event's way there and its response's back, median of WARM; and from a streaming
handler's yield to the arrival of its bytes here. Printed are medians over the rounds, and of the differences within
them to awslambdaric alone. The order within a round changes from one to the next. A named pipe takes the records.
"""

import argparse
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from coldspan_lab import tree_cache
from coldspan_wrapper import records

FUNCTIONS = Path(__file__).parent / "functions"
WARM = 100
TIMEOUT_S = 30.0
MS = 1e6
PLAIN, WRAPPED, OURS = "awslambdaric", "awslambdaric, coldspan-exec", "coldspan-bootstrap"


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds; of the first byte only where responses are streamed."""

    start: float
    warm: float
    first_byte: float | None = None


class RuntimeApi:
    """One runtime's connections, one after the other."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._connection: socket.socket | None = None
        self._unread = b""

    def request(self) -> bytes:
        """The head of the next request, over whichever connection it comes; its body is the rest of `unread`."""
        while b"\r\n\r\n" not in self._unread:
            if self._connection is None:
                self._connection, _ = self._listener.accept()
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connection.settimeout(TIMEOUT_S)
            if not self._receive():
                self.close()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return head

    def body(self, head: bytes) -> tuple[bytes, int]:
        """The whole body, and when its first bytes had been read, monotonic ns."""
        if not self._unread:
            self._receive()
        first_ns = time.monotonic_ns()
        chunked = b"chunked" in head.lower()
        length = 0 if chunked else int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(self._unread) < length or (chunked and not self._unread.endswith(b"0\r\n\r\n")):
            self._receive()
        body, self._unread = self._unread, b""
        return body, first_ns

    def reply(self, status: int, body: bytes = b"", *headers: str) -> None:
        assert self._connection is not None
        lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers]
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _receive(self) -> bool:
        assert self._connection is not None
        data = self._connection.recv(65536)
        self._unread += data
        return bool(data)


def sample(command: list[str], function: str, work: Path) -> Sample:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(TIMEOUT_S)
    api = RuntimeApi(listener)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.getsockname()[1]}",
        "LAMBDA_TASK_ROOT": str(FUNCTIONS / function),
        "COLDSPAN_CHANNEL": str(work / "pipe"),
    }
    reader = records.open_channel(environment["COLDSPAN_CHANNEL"])
    began_ns = time.monotonic_ns()
    process = subprocess.Popen([*command, "app.handler"], cwd=FUNCTIONS / function, env=environment)
    try:
        api.request()
        start_ms = (time.monotonic_ns() - began_ns) / MS
        rounds, first_bytes = [], []
        for _ in range(WARM):
            _drain(reader)
            sent_ns = time.monotonic_ns()
            deadline = f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + 60_000}"
            api.reply(
                200, b"{}", f"Lambda-Runtime-Aws-Request-Id: {uuid.uuid4()}", deadline, "Content-Type: application/json"
            )
            body, first_ns = api.body(api.request())
            rounds.append((time.monotonic_ns() - sent_ns) / MS)
            api.reply(202)
            if function == "stamped":
                first_bytes.append((first_ns - int(body.split(b"\r\n")[1])) / MS)
                api.close()
            api.request()
        first_byte = statistics.median(first_bytes) if first_bytes else None
        return Sample(start_ms, statistics.median(rounds), first_byte)
    finally:
        process.kill()
        process.wait()
        api.close()
        listener.close()
        os.close(reader)


def _drain(reader: int) -> None:
    """As the extension would."""
    try:
        while os.read(reader, 1_048_576):
            pass
    except BlockingIOError:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="default 20")
    arguments = parser.parse_args()
    layer = tree_cache.layer_tree(tree_cache.cache_folder(), "{}.{}".format(*sys.version_info))
    client = [sys.executable, "-m", "awslambdaric"]
    commands = {
        PLAIN: client,
        WRAPPED: [str(layer / "coldspan-exec"), *client],
        OURS: [str(layer / "coldspan-bootstrap")],
    }
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    streamed = []
    with TemporaryDirectory() as work:
        for number in range(-1, arguments.rounds):  # the first warms the file cache
            for name in list(commands)[:: 1 if number % 2 else -1]:
                measured = sample(commands[name], "trivial", Path(work))
                samples[name] += [measured] if number >= 0 else []
            streamed.append(sample(commands[OURS], "stamped", Path(work)).first_byte or 0.0)
    print(
        f"runtimes: Python {platform.python_version()}, awslambdaric {metadata.version('awslambdaric')}, "
        f"{platform.machine()}, {arguments.rounds} rounds, ms"
    )
    print(f"{'':30}{'start to first next':>21}{'difference':>12}{'warm round trip':>18}{'difference':>12}")
    for name, measured_all in samples.items():
        line = f"  {name:28}"
        for field, width in (("start", 21), ("warm", 18)):
            values = [getattr(measured, field) for measured in measured_all]
            plain = [getattr(measured, field) for measured in samples[PLAIN]]
            difference = statistics.median(value - base for value, base in zip(values, plain, strict=True))
            line += f"{statistics.median(values):{width}.3f}{difference:+12.3f}"
        print(line)
    print(f"  from a handler's yield to its first byte: {statistics.median(streamed):.3f} ms")


if __name__ == "__main__":
    main()
