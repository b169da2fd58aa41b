"""Which lane exports: a table of cases, which docs/configuration.md tells in words."""

import pytest

from coldspan_extension.boot import Boot
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
    ("init_type", "is_repeated", "is_ahead"),
    [
        ("on-demand", False, False),
        ("provisioned-concurrency", False, True),
        ("snap-start", False, True),
        ("lambda-managed-instances", False, True),
        ("provisioned-concurrency", True, False),
        ("", False, False),
    ],
)
def test_a_request_waits_for_an_init_on_demand_and_for_one_that_is_repeated(
    init_type: str, is_repeated: bool, is_ahead: bool
) -> None:
    boot = Boot({"AWS_LAMBDA_INITIALIZATION_TYPE": init_type})
    boot.is_repeated = is_repeated
    assert boot.is_ahead is is_ahead


@pytest.mark.parametrize(
    ("environ", "is_ahead", "has_sdk", "lane", "reason"),
    [
        (PLAIN, False, True, "lean", ""),
        (memory(10_240), False, True, "lean", ""),
        (memory(512), True, True, "sdk", ""),
        (memory(511), True, True, "lean", ""),
        (memory(1_024), True, True, "sdk", ""),
        (PLAIN, True, True, "lean", ""),
        (SDK, False, True, "sdk", ""),
        ({**memory(1_024), **LEAN}, True, True, "lean", ""),
        (GRPC, False, True, "sdk", "the lean lane cannot do this: OTLP over gRPC"),
        (PROXY, False, True, "sdk", "the lean lane cannot do this: a proxy, HTTP_PROXY"),
        ({**GRPC, **LEAN}, False, True, "sdk", "the lean lane cannot do this: OTLP over gRPC"),
        ({**PROXY, **LEAN}, False, True, "sdk", "the lean lane cannot do this: a proxy, HTTP_PROXY"),
        (memory(1_024), True, False, "lean", ""),
        (GRPC, False, False, "lean", "OTLP over gRPC needs what this layer was built without"),
        (PROXY, False, False, "lean", "a proxy, HTTP_PROXY needs what this layer was built without"),
        (SDK, False, False, "lean", "COLDSPAN_EXPORTER=sdk needs what this layer was built without"),
    ],
)
def test_the_lane_of_each_case(environ: dict[str, str], is_ahead: bool, has_sdk: bool, lane: str, reason: str) -> None:
    choice = choose(parse(environ), is_ahead=is_ahead, has_sdk=has_sdk)
    assert (choice.lane, choice.reason) == (lane, reason)


@pytest.mark.parametrize(
    ("environ", "has_sdk", "differs"),
    [
        (GRPC, True, False),
        ({**GRPC, **LEAN}, True, True),
        (GRPC, False, True),
        (SDK, False, True),
        (PLAIN, False, False),
    ],
)
def test_it_is_a_warning_only_where_another_lane_was_asked_for(
    environ: dict[str, str], has_sdk: bool, differs: bool
) -> None:
    assert choose(parse(environ), is_ahead=False, has_sdk=has_sdk).differs is differs
