"""Which exporter does the job, made in the worker's thread: loading one takes up to seconds on a small function."""

from coldspan_extension.config import Config
from coldspan_extension.export import Exported, Exporter, Failed
from coldspan_extension.log import Log
from coldspan_extension.span import Attributes, Span


class NoneExporter:
    """OTEL_TRACES_EXPORTER=none: spans are assembled and go nowhere."""

    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported | Failed:
        return Exported(len(spans))

    def close_idle(self) -> None:
        """There is no connection."""


def make_exporter(config: Config, log: Log) -> Exporter:
    if config.exporter == "none":
        return NoneExporter()
    if config.exporter == "console" or not config.endpoint:
        from coldspan_extension.export.stdout import StdoutExporter

        return StdoutExporter()
    from coldspan_extension.export.sdk import GrpcExporter, HttpExporter

    if config.protocol == "grpc":
        try:
            return GrpcExporter(config)
        except ImportError:
            log.warning(
                "grpc_unavailable",
                variable="OTEL_EXPORTER_OTLP_PROTOCOL",
                reason="the layer was built without --with-grpc",
                instead="http/protobuf",
            )
    return HttpExporter(config)
