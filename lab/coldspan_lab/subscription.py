"""What an extension asks of the Telemetry API, from the body of its PUT. Pure."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SCHEMA_VERSIONS = ("2022-07-01", "2022-12-13", "2025-01-29")
TYPES = ("platform", "function", "extension")
HOSTS = ("sandbox.localdomain", "sandbox")
BUFFERING = {
    "maxItems": (1000, 10_000, 10_000),
    "maxBytes": (262_144, 1_048_576, 262_144),
    "timeoutMs": (25, 30_000, 1000),
}
"""Lowest, highest and default value."""


class SubscriptionInvalid(ValueError):
    """Answered with 400; the message is what Lambda's has for errorMessage."""


@dataclass(frozen=True, slots=True)
class Subscription:
    schema_version: str
    types: list[str]
    port: int
    path: str
    max_items: int
    max_bytes: int
    timeout_ms: int


def parse(body: bytes) -> Subscription:
    """Raises SubscriptionInvalid."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise SubscriptionInvalid(f"failed to parse JSON: {error}") from error
    if not isinstance(request, dict):
        raise SubscriptionInvalid(_schema_error("", "expected object"))
    missing = [name for name in ("schemaVersion", "types", "destination") if name not in request]
    if missing:
        raise SubscriptionInvalid(_schema_error("", f"missing properties: {', '.join(map(repr, missing))}"))
    version, types = request["schemaVersion"], request["types"]
    if version not in SCHEMA_VERSIONS:
        raise SubscriptionInvalid(_schema_error("/schemaVersion", f"value must be one of {_quoted(SCHEMA_VERSIONS)}"))
    if not isinstance(types, list) or not types or any(each not in TYPES for each in types):
        raise SubscriptionInvalid(_schema_error("/types", f"value must be one or more of {_quoted(TYPES)}"))
    port, path = _destination(request["destination"])
    buffering = request.get("buffering", {})
    if not isinstance(buffering, dict):
        raise SubscriptionInvalid(_schema_error("/buffering", "expected object"))
    sizes = [_buffering(buffering, name) for name in BUFFERING]
    return Subscription(version, types, port, path, *sizes)


def _destination(destination: Any) -> tuple[int, str]:
    if not isinstance(destination, dict) or destination.get("protocol") != "HTTP":
        raise SubscriptionInvalid(_schema_error("/destination/protocol", 'value must be "HTTP" (the lab has no TCP)'))
    uri = destination.get("URI")
    if not isinstance(uri, str) or not uri:
        raise SubscriptionInvalid(_schema_error("/destination", "missing properties: 'URI'"))
    parts = urlsplit(uri)
    if parts.scheme != "http":
        raise SubscriptionInvalid("Invalid destination: destination.URI scheme must be http")
    if parts.hostname not in HOSTS:
        raise SubscriptionInvalid(f"Invalid destination: destination.URI host must be {HOSTS[0]}")
    try:
        port = parts.port or 80
    except ValueError as error:
        raise SubscriptionInvalid(f"Invalid destination: destination.URI port: {error}") from error
    return port, parts.path or "/"


def _buffering(buffering: dict[str, Any], name: str) -> int:
    low, high, default = BUFFERING[name]
    value = buffering.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SubscriptionInvalid(_schema_error(f"/buffering/{name}", "expected integer"))
    if not low <= value <= high:
        bound = f">= {low}" if value < low else f"<= {high}"
        raise SubscriptionInvalid(_schema_error(f"/buffering/{name}", f"must be {bound} but found {value}"))
    return value


def _schema_error(where: str, what: str) -> str:
    return f"schema validation error: '{where}': {what}"


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
