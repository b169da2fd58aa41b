"""`coldspan serve`: the function at a URL and at the Invoke API, its traces as they come."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from coldspan_report import otlp
from coldspan_testing.callers import lambda_client
from coldspan_testing.otlp_receiver import OtlpReceiver
from coldspan_testing.trees import layer_tree

COLDSPAN = Path(sys.executable).with_name("coldspan")
MakeFunction = Callable[..., Path]
RESPONSE = "^  response  "
"""A trace's last row. A busy machine may put `response encode` before it."""


@contextmanager
def serving(environ: dict[str, str], *arguments: str | Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The process and its endpoint."""
    command: list[str | Path] = [COLDSPAN, "serve", "--layer", layer_tree(), "--port", "0", *arguments]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, endpoint(process.stderr)
        finally:
            process.kill()


def endpoint(lines: IO[str] | None) -> str:
    assert lines is not None
    found = (re.fullmatch(r"Invoke API +(\S+)  \(function name: orders\)\n", line) for line in lines)
    return next(match[1] for match in found if match)


def lines_of(stream: IO[str] | None, until: str) -> list[str]:
    assert stream is not None
    lines = []
    for line in stream:
        lines.append(line)
        if re.search(until, line):
            break
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_requests_are_answered_their_traces_printed_and_a_signal_ends_it_in_order(
    environ: dict[str, str], function: MakeFunction, number: signal.Signals
) -> None:
    with serving(environ, function()) as (process, url):
        with urllib.request.urlopen(f"{url}/a?b=c") as reply:
            assert json.load(reply)["rawPath"] == "/a"
        assert any("load handler" in line for line in lines_of(process.stdout, RESPONSE))
        assert lambda_client(url).invoke(FunctionName="orders", Payload=b"1")["Payload"].read() == b"1"
        assert lines_of(process.stdout, RESPONSE)[1].startswith("warm | ")
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert not [line for line in output.splitlines() if line.startswith(("cold", "warm"))]


def test_json_is_a_line_for_each_export_and_all_of_it_is_forwarded(
    environ: dict[str, str], function: MakeFunction
) -> None:
    with OtlpReceiver() as receiver:
        with serving(environ, "--json", "--otlp", receiver.endpoint_http, function()) as (process, url):
            with urllib.request.urlopen(url) as reply:
                assert reply.status == 200
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
        exports = [otlp.from_json(line.encode()) for line in (first + rest).splitlines()]
        assert [received.body for received in receiver.requests] == exports
    assert len(exports) >= 2  # the last one came when the environment was shut down


def test_a_port_in_use_is_bad_usage(environ: dict[str, str], function: MakeFunction) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command: list[str | Path] = [COLDSPAN, "serve", "--layer", layer_tree(), "--port", port, function()]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (f"coldspan: port {port}: cannot listen on 127.0.0.1: {os.strerror(98)}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "x"], "argument --port: x: expected a port, 0 to 65535"),
        (["--port", "65536"], "argument --port: 65536: expected a port, 0 to 65535"),
        (["--invoke-mode", "STREAM"], "argument --invoke-mode: STREAM: expected one of BUFFERED, RESPONSE_STREAM"),
        (["--runtime", "node"], "argument --runtime: node: expected one of awslambdaric, coldspan"),
        (["--layer", "."], "argument --layer: .: expected a folder"),
        (["--handler", "nix.handler"], "argument --handler: nix.handler: there is no module nix"),
    ],
)
def test_serve_refuses(
    coldspan: Callable[..., "subprocess.CompletedProcess[str]"],
    function: MakeFunction,
    options: list[str],
    message: str,
) -> None:
    done = coldspan("serve", *options, function())
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
