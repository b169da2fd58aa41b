"""Which exporter does the job. choose() is pure; the exporter is made in the worker's thread: the sdk lane takes up to
seconds to load on a small function."""

import sys

from coldspan_extension import tree
from coldspan_extension.config import LEAN, SDK, Config
from coldspan_extension.export import Exported, Exporter
from coldspan_extension.log import Log
from coldspan_extension.span import Attributes, Span

ROOMY_MB = 512
"""Memory of a function from which the sdk lane's 25 MB more are no matter."""


class Choice:
    """`reason` says what made it this lane, empty where nothing special did; `differs`: another one was asked for."""

    __slots__ = ("differs", "lane", "reason")

    def __init__(self, lane: str, reason: str = "", *, differs: bool = False) -> None:
        self.lane = lane
        self.reason = reason
        self.differs = differs


def choose(config: Config, *, is_ahead: bool, has_sdk: bool) -> Choice:
    """The lane, `sdk` or `lean`. `is_ahead`: init is on nobody's path (Boot.is_ahead). `has_sdk`: the layer has what
    the first one needs.

    What only the sdk lane can do goes there, whatever was asked for, if the layer has it. Else: as asked for, and in
    `auto` the sdk lane where its load is on nobody's path or bill.
    """
    only_sdk = "OTLP over gRPC" if config.protocol == "grpc" else config.needs_requests
    if not has_sdk:
        wanted = only_sdk or ("COLDSPAN_EXPORTER=sdk" if config.lane == SDK else "")
        return Choice(LEAN, f"{wanted} needs what this layer was built without" if wanted else "", differs=bool(wanted))
    if only_sdk:
        return Choice(SDK, f"the lean lane cannot do this: {only_sdk}", differs=config.lane == LEAN)
    if config.lane in (SDK, LEAN):
        return Choice(config.lane)
    return Choice(SDK if is_ahead and config.memory_mb >= ROOMY_MB else LEAN)


def has_sdk() -> bool:
    """Whether the sdk lane's packages are there: not in a layer that was built --lean-only."""
    return any(tree.exists(f"{folder}/opentelemetry/sdk") for folder in sys.path)


class NoneExporter:
    """OTEL_TRACES_EXPORTER=none: spans are assembled and go nowhere."""

    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported:
        return Exported(len(spans))

    def close_idle(self) -> None:
        """There is no connection."""


def make_exporter(config: Config, lane: str, log: Log) -> Exporter:
    """`lane` is a Choice's."""
    url = config.traces_url
    if config.exporter == "none":
        return NoneExporter()
    if config.exporter == "console" or url is None:
        from coldspan_extension.export.stdout import StdoutExporter

        return StdoutExporter()
    if lane == LEAN:
        from coldspan_extension.export.lean import LeanExporter

        return LeanExporter(config, url)
    from coldspan_extension.export.sdk import GrpcExporter, HttpExporter

    if config.protocol == "grpc":
        try:
            return GrpcExporter(config, config.endpoint or url)
        except ImportError:
            log.warning(
                "grpc_unavailable",
                variable="OTEL_EXPORTER_OTLP_PROTOCOL",
                reason="the layer was built without --with-grpc",
                instead="http/protobuf",
            )
    return HttpExporter(config, url)
