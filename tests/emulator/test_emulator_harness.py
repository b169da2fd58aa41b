"""The harness itself, with an extension that is not ours: what the other tests here may rely on."""

import json
import sys
from pathlib import Path

from coldspan_testing import interpreters
from coldspan_testing.emulator import Emulator

FUNCTION = Path(__file__).parent / "function"

EXTENSION = """#!{python} -IS
import http.client, json, os, sys
platform = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def call(method, path, body=None, **headers):
    platform.request(method, "/2020-01-01/extension/" + path, body, headers)
    reply = platform.getresponse()
    return reply, json.loads(reply.read())
name, events = {{"Lambda-Extension-Name": "probe"}}, json.dumps({{"events": ["INVOKE", "SHUTDOWN"]}})
reply, _ = call("POST", "register", events, **name)
identity = {{"Lambda-Extension-Identifier": reply.headers["Lambda-Extension-Identifier"]}}
event = {{}}
while event.get("eventType") != "SHUTDOWN":
    _, event = call("GET", "event/next", **identity)
    print("probe saw", event["eventType"], os.environ.get("OF_THE_TEST"), file=sys.stderr, flush=True)
"""


def layer_with_probe(folder: Path) -> Path:
    (folder / "extensions").mkdir(parents=True)
    probe = folder / "extensions" / "probe"
    probe.write_text(EXTENSION.format(python=sys.executable))
    probe.chmod(0o755)
    return folder


def test_extension_at_opt_sees_every_invocation_and_the_shutdown(tmp_path: Path) -> None:
    command = [str(interpreters.runtime("3.11")), "-m", "awslambdaric", "app.handler"]
    layer = layer_with_probe(tmp_path / "layer")
    with Emulator(command, layer=layer, function=FUNCTION, environment={"OF_THE_TEST": "set"}) as emulator:
        status, _, body = emulator.invoke(b'{"a": 1}')
    assert (status, json.loads(body)) == (200, {"echo": '{"a": 1}', "one": "1"})
    seen = [line.split(" ", 2)[2].strip() for line in emulator.output if line.startswith("probe saw")]
    assert seen == ["INVOKE set", "SHUTDOWN set"]


def test_layer_is_at_opt_for_the_emulator_alone(tmp_path: Path) -> None:
    (tmp_path / "only-in-the-layer").touch()
    command = [str(interpreters.runtime("3.11")), "-m", "awslambdaric", "app.handler"]
    before = sorted(Path("/opt").iterdir())
    with Emulator(command, layer=tmp_path, function=FUNCTION, environment={}) as emulator:
        emulator.invoke(b"{}")
        assert sorted(Path("/opt").iterdir()) == before
