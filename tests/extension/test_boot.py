"""The start of the extension, where Lambda or its settings are in its way."""

import subprocess
import sys
from pathlib import Path

import coldspan_extension
from coldspan_extension.boot import Boot
from coldspan_testing.http_peer import HttpPeer
from coldspan_wrapper import records

START = Path(coldspan_extension.__file__).with_name("start.py")
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"
REGISTERED = b"HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: me\r\nContent-Length: 2\r\n\r\n{}"
SHUTDOWN = b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"eventType":"SHUTDOWN"}'


def test_where_invoke_is_refused_it_registers_for_nothing_and_waits() -> None:
    """Without a registration, every init of the function would run into its time limit."""
    with HttpPeer([[REFUSED, REGISTERED], [SHUTDOWN]]) as peer:
        done = subprocess.run(
            [sys.executable, "-ISB", str(START)],
            env={"AWS_LAMBDA_RUNTIME_API": peer.url.removeprefix("http://")},
            check=True,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert [body for _, _, body in peer.requests] == [b'{"events":["INVOKE","SHUTDOWN"]}', b'{"events":[]}', b""]
    assert "register: 403" in done.stderr


def test_a_channel_that_would_be_another_for_each_process_is_not_used() -> None:
    started = Boot({"COLDSPAN_CHANNEL": "channel"})
    assert started.channel_path == records.DEFAULT_PATH
    (note,) = started.notes
    assert note[1]["variable"] == "COLDSPAN_CHANNEL"
    assert Boot({"COLDSPAN_CHANNEL": "/tmp/x"}).channel_path == "/tmp/x"
    assert Boot({}).notes == []
