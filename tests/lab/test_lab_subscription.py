"""What the Telemetry API takes as a subscription, and how it refuses the rest."""

import json
from typing import Any

import pytest

from coldspan_lab.subscription import Subscription, SubscriptionInvalid, parse

GOOD: dict[str, Any] = {
    "schemaVersion": "2022-12-13",
    "types": ["platform", "function"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243/path"},
}


def test_a_subscription_without_buffering_has_lambdas_defaults() -> None:
    assert parse(json.dumps(GOOD).encode()) == Subscription(
        schema_version="2022-12-13",
        types=["platform", "function"],
        port=4243,
        path="/path",
        max_items=10_000,
        max_bytes=262_144,
        timeout_ms=1000,
    )


@pytest.mark.parametrize("uri", ["http://sandbox:80", "http://sandbox.localdomain"])
def test_port_and_path_of_the_destination_have_http_defaults(uri: str) -> None:
    subscription = parse(json.dumps({**GOOD, "destination": {"protocol": "HTTP", "URI": uri}}).encode())
    assert (subscription.port, subscription.path) == (80, "/")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schemaVersion": "2020-08-15"}, "schema validation error: '/schemaVersion': value must be one of "),
        ({"types": []}, "schema validation error: '/types': value must be one or more of "),
        ({"types": ["extensions"]}, "schema validation error: '/types': "),
        ({"buffering": []}, "schema validation error: '/buffering': expected object"),
        ({"buffering": {"maxItems": 999}}, "'/buffering/maxItems': must be >= 1000 but found 999"),
        ({"buffering": {"maxBytes": 1048577}}, "'/buffering/maxBytes': must be <= 1048576 but found 1048577"),
        ({"buffering": {"timeoutMs": "25"}}, "'/buffering/timeoutMs': expected integer"),
        ({"destination": {"protocol": "TCP", "port": 1}}, "'/destination/protocol': value must be \"HTTP\""),
        ({"destination": {"protocol": "HTTP"}}, "'/destination': missing properties: 'URI'"),
        (
            {"destination": {"protocol": "HTTP", "URI": "http://127.0.0.1:4243"}},
            "Invalid destination: destination.URI host must be sandbox.localdomain",
        ),
        ({"destination": {"protocol": "HTTP", "URI": "https://sandbox"}}, "destination.URI scheme must be http"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:99999"}}, "destination.URI port: "),
    ],
)
def test_a_wrong_value_is_refused_and_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SubscriptionInvalid) as refused:
        parse(json.dumps({**GOOD, **change}).encode())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "failed to parse JSON: "),
        (b"[]", "expected object"),
        (b"{}", "missing properties: 'schemaVersion', 'types', 'destination'"),
    ],
)
def test_a_body_that_is_no_subscription_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(SubscriptionInvalid) as refused:
        parse(body)
    assert message in str(refused.value)
