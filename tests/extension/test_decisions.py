"""Small decisions: ids, parents, triggers, sampling, the resource, how long next may be held."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import sampling as otel

from coldspan_extension import context, ids, platform, resource, sampling, triggers
from coldspan_extension.boot import events
from coldspan_extension.extension import hold_until

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:fn"


def test_ids_are_the_documented_hash_of_request_and_deadline() -> None:
    """Other people's tools compute the same: SHA-256 of `request_id|deadline_ms|label`."""
    made = ids.Ids("8f507cfc-example", 1795508545469)
    assert made.trace() == hashlib.sha256(b"8f507cfc-example|1795508545469|trace").digest()[:16]
    assert made.span("server") == hashlib.sha256(b"8f507cfc-example|1795508545469|server").digest()[:8]
    assert ids.Ids("r", 0).span("server") == hashlib.sha256(b"r||server").digest()[:8]


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f" 00-{TRACE}-{SPAN}-00 ", True),
        (f"01-{TRACE}-{SPAN}-01-more", True),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        ("", False),
    ],
)
def test_a_traceparent_is_taken_only_if_it_is_valid(value: str, valid: bool) -> None:
    parent = context.parse_traceparent(value)
    assert (parent is not None) is valid
    if parent is not None:
        assert (parent.trace_id.hex(), parent.span_id.hex()) == (TRACE, SPAN)


def test_the_state_of_an_invalid_parent_is_dropped_with_it() -> None:
    assert context.parent_of([("header.traceparent", "nonsense"), ("header.tracestate", "a=b")]) is None
    too_long = context.parent_of([("header.traceparent", f"00-{TRACE}-{SPAN}-01"), ("header.tracestate", "a" * 513)])
    assert too_long is not None
    assert too_long.trace_state == ""


@pytest.mark.parametrize(
    ("facts", "trigger"),
    [
        ([("event.httpMethod", "GET")], "http"),
        ([("event.requestContext", "http")], "http"),
        ([("event.requestContext", "elb")], "http"),
        ([("event.requestContext", "")], "other"),
        ([], "other"),
    ],
)
def test_an_http_shaped_event_is_an_http_trigger(facts: list[tuple[str, str]], trigger: str) -> None:
    assert triggers.trigger_of(facts) == trigger


SAMPLERS = {
    "always_on": otel.ALWAYS_ON,
    "always_off": otel.ALWAYS_OFF,
    "traceidratio": otel.TraceIdRatioBased(0.3),
    "parentbased_always_on": otel.ParentBased(otel.ALWAYS_ON),
    "parentbased_always_off": otel.ParentBased(otel.ALWAYS_OFF),
    "parentbased_traceidratio": otel.ParentBased(otel.TraceIdRatioBased(0.3)),
}


@given(st.sampled_from(sorted(SAMPLERS)), st.binary(min_size=16, max_size=16), st.sampled_from([None, True, False]))
def test_every_sampler_decides_as_opentelemetrys_own(name: str, trace_id: bytes, flag: "bool | None") -> None:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    number = int.from_bytes(trace_id, "big") or 1
    trace_id = number.to_bytes(16, "big")
    parent = None if flag is None else context.Parent(trace_id, bytes.fromhex(SPAN), flag, "")
    flags = TraceFlags(TraceFlags.SAMPLED if flag else TraceFlags.DEFAULT)
    theirs = NonRecordingSpan(SpanContext(number, int(SPAN, 16), True, flags))
    around = None if flag is None else set_span_in_context(theirs)
    decision = SAMPLERS[name].should_sample(around, number, "x").decision
    expected = decision.is_sampled()  # type: ignore[no-untyped-call]
    assert sampling.is_sampled(name, 0.3, trace_id, parent) is expected


def test_the_users_resource_attributes_win_but_for_who_made_the_spans() -> None:
    environ = {
        "AWS_LAMBDA_FUNCTION_NAME": "fn",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_REGION": "eu-west-1",
    }
    chosen = {"cloud.region": "mars", "service.name": "theirs", "telemetry.sdk.name": "opentelemetry"}
    made = resource.resource_of(environ, chosen, "", {"accountId": "1"}, f"{ARN}:live", None, "i-1", "uuid")
    assert made == {
        "service.name": "theirs",
        "service.instance.id": "uuid",
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": "mars",
        "cloud.account.id": "1",
        "cloud.resource_id": f"{ARN}:7",
        "faas.name": "fn",
        "faas.version": "7",
        "faas.instance": "i-1",
        "host.id": "i-1",
        "faas.max_memory": 512 * 1_048_576,
        "telemetry.sdk.name": "coldspan",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": made["telemetry.sdk.version"],
    }
    assert resource.resource_of(environ, chosen, "named", {}, ARN, None, "", "uuid")["service.name"] == "named"


def test_the_latest_version_is_not_part_of_the_resource_id() -> None:
    assert resource.resource_id(f"{ARN}:live", "$LATEST") == ARN
    assert resource.resource_id("", "7") == ""


def test_next_is_asked_for_a_tenth_or_a_hundred_ms_before_the_deadline() -> None:
    second = 1_000_000_000
    assert hold_until(0, 60 * second) == 54 * second
    assert hold_until(0, second // 2) == second * 4 // 10


@pytest.mark.parametrize(
    ("environ", "registered"),
    [
        ({}, b'["INVOKE","SHUTDOWN"]'),
        ({"OTEL_SDK_DISABLED": "True"}, b"[]"),
        ({"AWS_LAMBDA_INITIALIZATION_TYPE": "lambda-managed-instances"}, b'["SHUTDOWN"]'),
    ],
)
def test_what_the_extension_registers_for(environ: dict[str, str], registered: bytes) -> None:
    assert events(environ) == registered


def test_an_unreadable_event_costs_that_event_not_its_batch() -> None:
    good = b'{"time":"2026-11-24T08:19:52.633Z","type":"platform.start","record":{"requestId":"r"}}'
    found = list(platform.parse_batch(b'[{"time":"nonsense","type":"x","record":{}},5,' + good + b"]"))
    assert [(event.type, event.request_id, event.time_ns) for event in found] == [
        ("platform.start", "r", 1_795_508_392_633_000_000)
    ]
    with pytest.raises(platform.Unreadable, match="expected a list"):
        list(platform.parse_batch(b"{}"))


@pytest.mark.parametrize("number", ["1e999", "NaN", "9" * 400, '"7"'])
def test_a_metric_without_bound_is_none(number: str) -> None:
    text = f'[{{"time":"2026-11-24T08:19:52Z","type":"t","record":{{"metrics":{{"m":{number}}}}}}}]'
    (event,) = platform.parse_batch(text.encode())
    assert event.metric("m") is None
