"""The container recipes, carried out in a root folder laid out like the image, and run by AWS's emulator."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coldspan_testing import trees
from coldspan_testing.cache import CHECKOUT
from coldspan_testing.emulator import Emulator
from coldspan_testing.images import Base, EmulatedImage, build
from coldspan_testing.otlp_receiver import OtlpReceiver
from coldspan_testing.ports import free_port

PYTHON = "3.13"
RECIPES = CHECKOUT / "containers"
FUNCTION = """
import sys
def handler(event, context):
    return {"event": event, "first": sys.path[0], "executable": sys.executable, "client": "awslambdaric" in sys.modules}
def stream(event, context):
    yield "one "
    yield "two"
"""

SLIM = Base("/usr/local", environment={"PATH": "/usr/local/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": "/usr/local/lib"})
# As AWS's image for Python 3.13 has them, but for what does not matter here.
AWS_BASE = Base(
    "/var/lang",
    entry_point=["/lambda-entrypoint.sh"],
    environment={
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/task:/opt/lib",
        "LAMBDA_TASK_ROOT": "/var/task",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
    },
    files={
        "/lambda-entrypoint.sh": '#!/bin/sh\nexport _HANDLER="$1"\nexec /var/runtime/bootstrap\n',
        "/var/runtime/bootstrap": """#!/bin/bash
export AWS_EXECUTION_ENV=AWS_Lambda_python3.13
if [ -z "$AWS_LAMBDA_EXEC_WRAPPER" ]; then exec /var/lang/bin/python3.13 /var/runtime/bootstrap.py
else exec -- "$AWS_LAMBDA_EXEC_WRAPPER" /var/lang/bin/python3.13 /var/runtime/bootstrap.py; fi
""",
        "/var/runtime/bootstrap.py": """
import os, sys
import awslambdaric.__main__
sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
awslambdaric.__main__.main([os.environ["LAMBDA_TASK_ROOT"], os.environ["_HANDLER"]])
""",
    },
    has_runtime_client=True,
)

Start = Callable[..., tuple[Emulator, OtlpReceiver]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(recipe's name, base, handler="handler", entry_point=the recipe's)."""
    with ExitStack() as stack:

        def run(
            name: str, base: Base, handler: str = "handler", entry_point: str = ""
        ) -> tuple[Emulator, OtlpReceiver]:
            context = tmp_path / "context"
            (context / "function").mkdir(parents=True)
            (context / "function" / "app.py").write_text(FUNCTION)
            shutil.copytree(trees.layer_tree(PYTHON), context / "layer")
            image = build(RECIPES / f"Dockerfile.{name}", context, base, tmp_path / "root")
            image.command[-1] = f"app.{handler}"
            if entry_point:
                image.command[0] = entry_point
            receiver = stack.enter_context(OtlpReceiver())
            environment = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint_http,
                "COLDSPAN_CHANNEL": "/tmp/pipe",
                "COLDSPAN_LISTEN": f"127.0.0.1:{free_port()}",
            }
            return stack.enter_context(EmulatedImage(image, PYTHON, environment)), receiver

        yield run


def traced(receiver: OtlpReceiver) -> set[str]:
    return {span.span.name for span in receiver.spans}


WHOLE = {"test_function", "init", "load handler", "next", "handler", "response"}


def test_a_plain_python_image_runs_on_our_runtime(start: Start) -> None:
    image, receiver = start("slim", SLIM)
    status, _, body = image.invoke(b'{"a": 1}')
    assert (status, json.loads(body)) == (
        200,
        {"event": {"a": 1}, "first": "/var/task", "executable": "/usr/local/bin/python3.13", "client": False},
    )
    image.shutdown()
    assert traced(receiver) >= WHOLE


def test_a_plain_python_image_streams(start: Start) -> None:
    image, receiver = start("slim", SLIM, "stream")
    assert image.invoke(b"{}")[2] == b"one two"
    image.shutdown()
    assert traced(receiver) >= WHOLE


def test_awss_base_image_keeps_awss_runtime(start: Start) -> None:
    image, receiver = start("aws-base", AWS_BASE)
    status, _, body = image.invoke(b'{"a": 1}')
    assert (status, json.loads(body)) == (
        200,
        {"event": {"a": 1}, "first": "/var/task", "executable": "/var/lang/bin/python3.13", "client": True},
    )
    image.shutdown()
    assert traced(receiver) >= WHOLE


def test_awss_base_image_runs_on_our_runtime_where_that_is_the_entry_point(start: Start) -> None:
    image, receiver = start("aws-base", AWS_BASE, "stream", entry_point="/opt/coldspan-bootstrap")
    assert image.invoke(b"{}")[2] == b"one two"
    image.shutdown()
    assert traced(receiver) >= WHOLE
