"""What of the dependencies no export of traces over OTLP/HTTP comes to, by path: left out of a layer without gRPC.

A row may go where neither a variable that users set nor what a collector answers leads to it. So sdk.metrics stays (a
user's OTEL_PYTHON_METER_PROVIDER is loaded in our process too), and idna and charset_normalizer stay whole (the name of
a host beyond ASCII, an answer without a charset). Tests hold that each row names something, that nothing that stays
imports something that went, and that traces go out with every setting (docs/decisions/0011).
"""

import shutil
from pathlib import Path

SIGNALS = "other signals than traces"
COMMON_PROTOS = "googleapis-common-protos: only the gRPC exporter takes something of it, google.rpc"
PROGRAMS = "a command's, not a library's"
NAMES = "names that instrumentations use; ours are in coldspan_extension/semconv.py"

UNUSED = {
    "google/api": COMMON_PROTOS,
    "google/cloud": COMMON_PROTOS,
    "google/gapic": COMMON_PROTOS,
    "google/logging": COMMON_PROTOS,
    "google/longrunning": COMMON_PROTOS,
    "google/rpc": COMMON_PROTOS,
    "google/type": COMMON_PROTOS,
    "google/protobuf/compiler": "for plug-ins of protoc",
    "google/protobuf/internal/*_benchmark.py": PROGRAMS,
    "google/protobuf/internal/testing_refleaks.py": "protobuf's tests",
    "opentelemetry/_logs": SIGNALS,
    "opentelemetry/exporter/otlp/proto/common/_internal/_log_encoder": SIGNALS,
    "opentelemetry/exporter/otlp/proto/common/_internal/metrics_encoder": SIGNALS,
    "opentelemetry/exporter/otlp/proto/common/_log_encoder.py": SIGNALS,
    "opentelemetry/exporter/otlp/proto/common/metrics_encoder.py": SIGNALS,
    "opentelemetry/exporter/otlp/proto/http/_log_exporter": SIGNALS,
    "opentelemetry/exporter/otlp/proto/http/metric_exporter": SIGNALS,
    "opentelemetry/proto/collector/logs": SIGNALS,
    "opentelemetry/proto/collector/metrics": SIGNALS,
    "opentelemetry/proto/collector/profiles": SIGNALS,
    "opentelemetry/proto/logs": SIGNALS,
    "opentelemetry/proto/metrics": SIGNALS,
    "opentelemetry/proto/profiles": SIGNALS,
    "opentelemetry/sdk/_configuration": "sets up an SDK in a program of its own",
    "opentelemetry/sdk/_logs": SIGNALS,
    "opentelemetry/proto/collector/trace/v1/*_pb2_grpc.py": "for gRPC",
    "opentelemetry/semconv/_incubating/*/*.py": NAMES,
    "opentelemetry/semconv/metrics": NAMES,
    "opentelemetry/semconv/trace": NAMES,
    "charset_normalizer/__main__.py": PROGRAMS,
    "charset_normalizer/cli": PROGRAMS,
    "urllib3/contrib/emscripten": "for Python in a browser",
}

USED = {"__init__.py", "otel_attributes.py", "otel_metrics.py"}
"""Files that stay where a row names them: the SDK counts by those names what it exports."""


def drop(vendored: Path) -> None:
    """Removes it from a folder of installed wheels."""
    for path in [path for pattern in UNUSED for path in vendored.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in USED:
            path.unlink()
