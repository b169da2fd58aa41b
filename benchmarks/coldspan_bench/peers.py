"""The tracers that people use today, as far as they can be installed from PyPI, wired as their documentation says.

The files of benchmarks/peers/ are what such a user adds: a wrapper script, a module around the handler. Packages come
with pip's bytecode, which a layer or a function folder rarely has: a start without it is slower.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coldspan_bench import toolchain
from coldspan_bench.toolchain import Toolchain
from coldspan_lab import tree_cache

FILES = Path(__file__).parents[1] / "peers"
OTLP = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://{collector}", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
WRAPPED = {"AWS_LAMBDA_EXEC_WRAPPER": "{layer}/otel-instrument"}


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    requirements: tuple[str, ...]
    files: str
    """A folder of benchmarks/peers/."""
    traces: str
    """Where they go."""
    environment: Mapping[str, str] = field(default_factory=dict)
    handler: str = "app.handler"


PEERS = (
    Peer(
        "opentelemetry-distro",
        (
            "opentelemetry-distro",
            "opentelemetry-exporter-otlp-proto-http",
            "opentelemetry-instrumentation-aws-lambda",
            "opentelemetry-instrumentation-botocore",
        ),
        "opentelemetry",
        "OTLP/HTTP to the collector, after each invocation, before its response",
        {**OTLP, **WRAPPED, "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"},
    ),
    Peer(
        "aws-opentelemetry-distro",
        ("aws-opentelemetry-distro", "opentelemetry-instrumentation-aws-lambda"),
        "adot",
        "datagrams, as to the X-Ray daemon",
        {**WRAPPED, "AWS_XRAY_DAEMON_ADDRESS": "{datagrams}"},
    ),
    Peer(
        "datadog-lambda",
        ("datadog-lambda",),
        "datadog",
        "lines of the log, as for Datadog's forwarder; its extension is not on PyPI",
        {
            "DD_LAMBDA_HANDLER": "app.handler",
            "DD_API_KEY": "none",
            "DD_TRACE_ENABLED": "true",
        },
        handler="datadog_lambda.handler.handler",
    ),
    Peer(
        "lambda-otel-lite",
        ("lambda-otel-lite[otlp-http]",),
        "otel_lite",
        "OTLP/HTTP to the collector, after each response, from an internal extension",
        {**OTLP, "LAMBDA_EXTENSION_SPAN_PROCESSOR_MODE": "async"},
        handler="traced.handler",
    ),
    Peer(
        "Powertools Tracer",
        ("aws-lambda-powertools[tracer]",),
        "powertools",
        "datagrams, as to the X-Ray daemon",
        {"AWS_XRAY_DAEMON_ADDRESS": "{datagrams}", "POWERTOOLS_SERVICE_NAME": "bench"},
        handler="traced.handler",
    ),
    Peer(
        "sentry-sdk",
        ("sentry-sdk",),
        "sentry",
        "HTTP to the collector, as to Sentry, after each invocation, before its response",
        {"SENTRY_DSN": "http://key@{collector}/1"},
        handler="traced.handler",
    ),
)


def layer_of(peer: Peer) -> Callable[[Toolchain], Path]:
    return lambda tools: _layer(tools, peer)


def versions(tools: Toolchain, layer: Path, peer: Peer) -> dict[str, str]:
    """Of what was asked for; the rest are its dependencies."""
    names = {requirement.partition("[")[0] for requirement in peer.requirements}
    return {name: version for name, version in toolchain.packages_in(layer / "python").items() if name in names}


def _layer(tools: Toolchain, peer: Peer) -> Path:
    """Raises Unavailable."""
    own = [(str(path.relative_to(FILES)), path.read_bytes()) for path in _files(peer)]
    key = tree_cache.digest([("requirements", " ".join(peer.requirements).encode()), *own])

    def build(tree: Path) -> None:
        shutil.copytree(FILES / peer.files, tree)
        toolchain.install(tree / "python", tools.python, *peer.requirements)

    return tree_cache.once(tools.cache / f"{peer.files}-{tools.version}-{key}", build)


def _files(peer: Peer) -> list[Path]:
    return [path for path in (FILES / peer.files).rglob("*") if path.is_file() and path.suffix != ".pyc"]
