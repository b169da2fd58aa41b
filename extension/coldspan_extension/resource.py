"""The resource: the observed function, not this extension. Pure; frozen by the caller at the first export."""

import posix as os

from coldspan_extension import semconv
from coldspan_extension.invocation import Runtime
from coldspan_extension.span import Attributes
from coldspan_wrapper import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SCOPE = "coldspan"
MIB = 1_048_576


def function_name(environ: "Mapping[str, str]") -> str:
    return environ.get("AWS_LAMBDA_FUNCTION_NAME", "") or "unknown_function"


def resource_of(
    environ: "Mapping[str, str]",
    chosen: "Mapping[str, str]",
    service_name: str,
    registration: "Mapping[str, object]",
    arn: str,
    runtime: "Runtime | None",
    instance: str,
    instance_id: str,
) -> Attributes:
    """Attributes of the resource. `chosen` is the user's OTEL_RESOURCE_ATTRIBUTES, which win over what is detected,
    `arn` any invoked ARN, `instance` what Lambda calls the environment if the wrapper's hello does not know."""
    log_stream = runtime.hello.text("log_stream") if runtime else ""
    log_group = runtime.hello.text("log_group") if runtime else ""
    name, version = function_name(environ), environ.get("AWS_LAMBDA_FUNCTION_VERSION", "")
    memory = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
    account = str(registration.get("accountId") or "") or _arn_item(arn, 4)
    instance = log_stream or instance
    detected: Attributes = {
        semconv.SERVICE_NAME: name,
        semconv.SERVICE_INSTANCE_ID: instance_id,
        semconv.CLOUD_PROVIDER: "aws",
        semconv.CLOUD_PLATFORM: "aws_lambda",
        semconv.CLOUD_REGION: environ.get("AWS_REGION", "") or _arn_item(arn, 3),
        semconv.CLOUD_ACCOUNT_ID: account,
        semconv.CLOUD_RESOURCE_ID: resource_id(arn, version),
        semconv.FAAS_NAME: name,
        semconv.FAAS_VERSION: version,
        semconv.FAAS_INSTANCE: instance,
        semconv.HOST_ID: instance,
        semconv.FAAS_MAX_MEMORY: int(memory) * MIB if memory.isdigit() else 0,
        semconv.AWS_LOG_GROUP_NAMES: [log_group] if log_group else [],
        semconv.AWS_LOG_STREAM_NAMES: [log_stream] if log_stream else [],
    }
    if runtime is not None:
        detected[semconv.PROCESS_RUNTIME_NAME] = runtime.hello.text("implementation")
        detected[semconv.PROCESS_RUNTIME_VERSION] = runtime.hello.text("version")
        detected[semconv.PROCESS_RUNTIME_DESCRIPTION] = runtime.hello.text("description")
    found: Attributes = {key: value for key, value in detected.items() if value}
    found.update(chosen)
    if service_name:
        found[semconv.SERVICE_NAME] = service_name
    found[semconv.TELEMETRY_SDK_NAME] = SCOPE
    found[semconv.TELEMETRY_SDK_LANGUAGE] = "python"
    found[semconv.TELEMETRY_SDK_VERSION] = __version__
    return found


def resource_id(arn: str, version: str) -> str:
    """The function's ARN without the caller's alias, with the version unless it is $LATEST."""
    items = arn.split(":")
    if len(items) < 7:
        return ""
    return ":".join([*items[:7], version] if version and version != "$LATEST" else items[:7])


def random_uuid() -> str:
    """A version 4 UUID of the system's entropy, which clones of one snapshot do not share."""
    octets = bytearray(os.urandom(16))
    octets[6] = octets[6] & 0x0F | 0x40
    octets[8] = octets[8] & 0x3F | 0x80
    digits = octets.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _arn_item(arn: str, index: int) -> str:
    """arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]"""
    items = arn.split(":")
    return items[index] if len(items) > index else ""
