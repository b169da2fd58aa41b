"""Functions, extensions and runtimes that the tests write themselves, and the lab that runs them.

A scripted program is a Python script with the prelude below in front; what it says with `say` is read from the log.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from coldspan_lab.service import Function, Lab, RuntimeClient
from coldspan_testing.callers import curl, lambda_client

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

__all__ = ["connect", "curl", "start_lab"]

Connect = Callable[[Lab], "LambdaClient"]

PRELUDE = f"""#!{sys.executable} -IS
import http.client, json, os, signal, socket, sys, time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
_connection = http.client.HTTPConnection(API)

def call(method, path, body=None, headers={{}}):
    _connection.request(method, path, body, headers)
    reply = _connection.getresponse()
    return reply.status, {{name.lower(): value for name, value in reply.getheaders()}}, reply.read().decode()

def raw(request):
    "The whole reply to these bytes, after which our side of the connection is closed."
    host, port = API.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

def say(**facts):
    sys.stdout.write(json.dumps(facts) + chr(10))
    sys.stdout.flush()
"""

EXTENSION = """
def register(events, name=os.path.basename(sys.argv[0]), **headers):
    status, reply, body = call("POST", "/2020-01-01/extension/register", json.dumps({"events": events}),
                               {"Lambda-Extension-Name": name, **headers})
    assert status == 200, body
    return {"Lambda-Extension-Identifier": reply["lambda-extension-identifier"]}

def next_event(me):
    return json.loads(call("GET", "/2020-01-01/extension/event/next", None, me)[2])

def subscribe(me, **changes):
    port = int(os.environ["COLDSPAN_LISTEN"].rpartition(":")[2])
    wanted = {"schemaVersion": "2025-01-29", "types": ["platform"], "buffering": {"timeoutMs": 25},
              "destination": {"protocol": "HTTP", "URI": f"http://sandbox.localdomain:{port}/"}, **changes}
    return call("PUT", "/2022-07-01/telemetry", json.dumps(wanted), me)

def listen():
    "Says each telemetry event that comes; gives what is set when a report has come."
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    reported = threading.Event()

    class Listener(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            for event in json.loads(body):
                say(got=event, at=time.time())
                if event["type"] == "platform.report":
                    reported.set()
        def log_message(self, *args): pass

    host, port = os.environ["COLDSPAN_LISTEN"].split(":")
    threading.Thread(target=HTTPServer((host, int(port)), Listener).serve_forever, daemon=True).start()
    return reported

def serve(me):
    "Events until SHUTDOWN, each said."
    while True:
        event = next_event(me)
        say(event=event["eventType"], reason=event.get("shutdownReason"), deadline=event["deadlineMs"], now=time.time())
        if event["eventType"] == "SHUTDOWN":
            return
"""

RUNTIME = """
RUNTIME = "/2018-06-01/runtime"

def next_invocation():
    status, headers, body = call("GET", RUNTIME + "/invocation/next")
    assert status == 200, body
    return headers["lambda-runtime-aws-request-id"], headers, body

def respond(request_id, body="null"):
    return call("POST", f"{RUNTIME}/invocation/{request_id}/response", body)

class Streamed:
    "A response that is sent while it is made, on a connection of its own."

    def __init__(self, request_id, content_type="application/octet-stream"):
        host, port = API.split(":")
        self.connection = socket.create_connection((host, int(port)))
        self.connection.sendall(
            f"POST {RUNTIME}/invocation/{request_id}/response HTTP/1.1\\r\\nHost: {API}\\r\\n"
            f"Content-Type: {content_type}\\r\\nLambda-Runtime-Function-Response-Mode: streaming\\r\\n"
            "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n"
            "Transfer-Encoding: chunked\\r\\n\\r\\n".encode())

    def write(self, data):
        self.connection.sendall(b"%x\\r\\n%b\\r\\n" % (len(data), data))

    def end(self, **trailers):
        "The reply."
        lines = "".join(f"{name.replace('_', '-')}: {value}\\r\\n" for name, value in trailers.items())
        self.connection.sendall(f"0\\r\\n{lines}\\r\\n".encode())
        return self.reply()

    def reply(self):
        self.connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: self.connection.recv(65536), b"")).decode()
"""


def write_program(path: Path, prelude: str, source: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(prelude + source)
    path.chmod(0o755)


class ScriptedLab(Lab):
    """A lab whose programs talk to the test."""

    def said(self, source: str) -> list[dict[str, Any]]:
        """What scripted programs of one source, function or extension, said so far."""
        texts = [line.text for line in list(self.log) if line.source == source]
        return [json.loads(text) for text in texts if text.startswith("{")]

    def types(self) -> list[str]:
        """The types of the platform's events, in order of generation."""
        kinds = [event["type"] for event in list(self.events)]
        return [kind.removeprefix("platform.") for kind in kinds if kind.startswith("platform.")]

    def records(self, kind: str) -> list[Any]:
        return [event["record"] for event in list(self.events) if event["type"] == f"platform.{kind}"]

    def moments(self) -> list[str]:
        return [mark.what.value for mark in list(self.timeline)]


class StartLab(Protocol):
    def __call__(
        self,
        source: str = "",
        *,
        runtime: str | None = None,
        bootstrap: str | None = None,
        extensions: dict[str, str] | None = None,
        layer: Path | None = None,
        faults: tuple[str, ...] = (),
        **settings: Any,
    ) -> ScriptedLab: ...


@pytest.fixture
def start_lab(tmp_path: Path) -> Iterator[StartLab]:
    """A lab with the function `source` (app.py) under awslambdaric, or else with a scripted runtime, as
    AWS_LAMBDA_EXEC_WRAPPER or the layer's bootstrap; it ends with the test, or with its own `with` block."""
    labs: list[ScriptedLab] = []

    def start(
        source: str = "",
        *,
        runtime: str | None = None,
        bootstrap: str | None = None,
        extensions: dict[str, str] | None = None,
        layer: Path | None = None,
        faults: tuple[str, ...] = (),
        **settings: Any,
    ) -> ScriptedLab:
        (tmp_path / "function").mkdir()
        (tmp_path / "function" / "app.py").write_text(source)
        environment = dict(settings.pop("environment", {}))
        if runtime is not None:
            write_program(tmp_path / "runtime", PRELUDE + RUNTIME, runtime)
            environment["AWS_LAMBDA_EXEC_WRAPPER"] = str(tmp_path / "runtime")
        for name, program in (extensions or {}).items():
            write_program(tmp_path / "layer" / "extensions" / name, PRELUDE + EXTENSION, program)
        if bootstrap is not None:
            write_program(tmp_path / "layer" / "coldspan-bootstrap", PRELUDE + RUNTIME, bootstrap)
            settings["runtime"] = RuntimeClient.COLDSPAN
        if extensions or bootstrap is not None:
            layer = tmp_path / "layer"
        function = Function(tmp_path / "function", environment=environment, **settings)
        lab = ScriptedLab(function, layer=layer, faults=faults)
        lab.__enter__()
        labs.append(lab)
        return lab

    yield start
    for lab in labs:
        lab.stop()


@pytest.fixture
def connect() -> Connect:
    """boto3's client of a lab."""

    return lambda lab: lambda_client(lab.endpoint)
