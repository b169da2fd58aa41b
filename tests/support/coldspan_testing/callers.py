"""Those who call a function in the lab: boto3 and curl."""

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

PARTIAL_FILE = 18
"""curl's exit code for a body that ended before its end."""

Curl = Callable[..., "subprocess.CompletedProcess[bytes]"]


def lambda_client(endpoint: str) -> "LambdaClient":
    """boto3's client of a lab; it asks once."""
    return boto3.client(
        "lambda",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )


def curl_program() -> str:
    """Skips the test where there is none."""
    program = shutil.which("curl")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set, and there is no curl")
        pytest.skip("there is no curl")
    return program


@pytest.fixture
def curl() -> Curl:
    """curl(*arguments), to its end."""
    program = curl_program()

    def run(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run([program, "--silent", *arguments], capture_output=True, timeout=120)

    return run


def parse(reply: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of `curl --include`."""
    head, _, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return int(status.split()[1]), [(name.lower(), value) for name, _, value in pairs], body
