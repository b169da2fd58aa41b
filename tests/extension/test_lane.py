"""Which lane exports: a table of cases, which docs/configuration.md tells in words."""

import pytest

from coldspan_extension.config import parse
from coldspan_extension.export.lane import choose

PLAIN = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
GRPC = {**PLAIN, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
PROXY = {**PLAIN, "HTTP_PROXY": "http://proxy:3128"}
SDK = {**PLAIN, "COLDSPAN_EXPORTER": "sdk"}
LEAN = {"COLDSPAN_EXPORTER": "lean"}


def memory(mb: int) -> dict[str, str]:
    return {**PLAIN, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(mb)}


@pytest.mark.parametrize(
    ("environ", "init_type", "has_sdk", "lane", "reason"),
    [
        (PLAIN, "on-demand", True, "lean", ""),
        (memory(10_240), "on-demand", True, "lean", ""),
        (memory(512), "provisioned-concurrency", True, "sdk", ""),
        (memory(511), "provisioned-concurrency", True, "lean", ""),
        (memory(1_024), "snap-start", True, "sdk", ""),
        (memory(2_048), "lambda-managed-instances", True, "sdk", ""),
        (PLAIN, "snap-start", True, "lean", ""),
        (SDK, "on-demand", True, "sdk", ""),
        ({**memory(1_024), **LEAN}, "snap-start", True, "lean", ""),
        (GRPC, "on-demand", True, "sdk", ""),
        (PROXY, "on-demand", True, "sdk", ""),
        ({**GRPC, **LEAN}, "on-demand", True, "sdk", "the lean lane cannot do this: OTLP over gRPC"),
        ({**PROXY, **LEAN}, "on-demand", True, "sdk", "the lean lane cannot do this: a proxy, HTTP_PROXY"),
        (memory(1_024), "snap-start", False, "lean", ""),
        (GRPC, "on-demand", False, "lean", "OTLP over gRPC needs what this layer was built without"),
        (PROXY, "on-demand", False, "lean", "a proxy, HTTP_PROXY needs what this layer was built without"),
        (SDK, "on-demand", False, "lean", "COLDSPAN_EXPORTER=sdk needs what this layer was built without"),
    ],
)
def test_the_lane_of_each_case(environ: dict[str, str], init_type: str, has_sdk: bool, lane: str, reason: str) -> None:
    choice = choose(parse(environ), init_type, has_sdk=has_sdk)
    assert (choice.lane, choice.reason) == (lane, reason)
