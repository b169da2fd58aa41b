from app import handler as untraced
from lambda_otel_lite import create_traced_handler, init_telemetry
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_, completion_handler = init_telemetry(span_processors=[BatchSpanProcessor(OTLPSpanExporter())])
traced = create_traced_handler(name="bench", completion_handler=completion_handler)


@traced
def handler(event, context):
    return untraced(event, context)
