"""A Runtime API that says what a test has it say, and keeps what a runtime sends to it, byte for byte."""

import functools
import http.client
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

http.client._MAXLINE = 4_194_304  # type: ignore[attr-defined]  # an X-Ray cause is a header of up to 1 MB
NEXT = "/2018-06-01/runtime/invocation/next"
REQUEST_ID = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:fn"
TIMEOUT_S = 120.0
HOUR_MS = 3_600_000
"""Between an event and its deadline: events are made when tests are collected, minutes before they are used."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; `raw` instead of everything else, after which the connection is closed unless it is kept."""

    status: int = 202
    body: bytes = b'{"status":"OK"}\n'
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    keeps: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `chunks` are those of a chunked body, each with the monotonic time of its arrival in ns."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    chunks: tuple[tuple[int, bytes], ...] = ()
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def last(self) -> str:
        """response, error or next."""
        return self.path.rpartition("/")[2]


def event(payload: bytes = b"{}", **headers: str | None) -> Reply:
    """A reply to next; a header of value None is left out. Names are written with _ for -."""
    given: dict[str, str | None] = {
        "Lambda-Runtime-Aws-Request-Id": REQUEST_ID,
        "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + HOUR_MS),
        "Lambda-Runtime-Invoked-Function-Arn": ARN,
        "Content-Type": "application/json",
    }
    given.update({name.replace("_", "-"): value for name, value in headers.items()})
    return Reply(200, payload, {name: value for name, value in given.items() if value is not None})


class RuntimeApiServer:
    """Answers next with `events`, one after the other, and every other path as `replies` say, by its last word.

    When there is no event left, next waits, and `idle` is set.
    """

    def __init__(
        self,
        events: Iterable[Reply] = (),
        replies: Mapping[str, Reply] | None = None,
        on_chunk: Callable[[bytes], bool] = lambda chunk: True,
    ) -> None:
        """`on_chunk` sees each chunk before the next one is read; False: the reply comes at once."""
        self.calls: list[Call] = []
        self.idle = threading.Event()
        self._events = list(events)
        self._replies = dict(replies or {})
        self._on_chunk = on_chunk
        self._closing = threading.Event()

    def __enter__(self) -> "RuntimeApiServer":
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                server._answer(self)

            do_POST = do_GET

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]  # a runtime that was killed
        self._thread = threading.Thread(target=functools.partial(self._server.serve_forever, 0.01))
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def posts(self) -> list[Call]:
        return [call for call in self.calls if call.method == "POST"]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        call = self._read(request)
        self.calls.append(call)
        if call.path == NEXT:
            if not self._events:
                self.idle.set()
                self._closing.wait()
                request.close_connection = True
                return
            reply = self._events.pop(0)
        else:
            reply = self._replies.get(call.last, Reply(200) if call.method == "GET" else Reply())
        if reply.raw is not None:
            request.wfile.write(reply.raw)
            request.close_connection = not reply.keeps
            return
        lines = [f"HTTP/1.1 {reply.status} Status", f"Content-Length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if request.headers.get("Connection", "").lower() == "close":
            request.close_connection = True
        request.wfile.write("\r\n".join([*lines, "", ""]).encode() + reply.body)

    def _read(self, request: BaseHTTPRequestHandler) -> Call:
        headers = {name.lower(): value for name, value in request.headers.items()}
        of = functools.partial(Call, request.command, request.path, headers)
        if headers.get("transfer-encoding") != "chunked":
            return of(request.rfile.read(int(headers.get("content-length", 0))))
        chunks = []
        while size := int(request.rfile.readline(), 16):
            chunk = request.rfile.read(size)
            chunks.append((time.monotonic_ns(), chunk))
            request.rfile.readline()
            if not self._on_chunk(chunk):
                request.close_connection = True
                return of(b"".join(data for _, data in chunks), tuple(chunks))
        trailers = {}
        while line := request.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            trailers[name.lower()] = value.strip()
        return of(b"".join(data for _, data in chunks), tuple(chunks), trailers)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a runtime that was run until it ended, or (status None) until it asked for an event that is not there."""

    status: int | None
    calls: list[Call]
    stdout: str
    stderr: str

    @property
    def posts(self) -> list[Call]:
        return [call for call in self.calls if call.method == "POST"]


def run(
    command: Sequence[str | Path],
    server: RuntimeApiServer,
    *,
    function: Path,
    environment: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> Outcome:
    """Runs the runtime in the function's folder against `server`, which is entered already."""
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=function,
        env={
            "PATH": os.environ["PATH"],
            "LANG": "en_US.UTF-8",
            "AWS_LAMBDA_RUNTIME_API": server.address,
            "LAMBDA_TASK_ROOT": str(function),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=pass_fds,
    )
    watcher = threading.Thread(target=_kill_when, args=(server.idle, process))
    watcher.start()
    with process:
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT_S)
        finally:
            status = None if server.idle.is_set() else process.poll()
            process.kill()
            server.idle.set()
            watcher.join()
    return Outcome(status, list(server.calls), stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))


def _kill_when(idle: threading.Event, process: "subprocess.Popen[bytes]") -> None:
    if idle.wait(TIMEOUT_S):
        process.kill()
