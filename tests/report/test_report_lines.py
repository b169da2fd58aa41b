"""Exports among the lines of a log, and what the other lines are."""

import csv
import io
import json

import pytest

from coldspan_report.lines import BLANK, EMBEDDED, EXPORT, FOREIGN, OTHER, Line, classify

LINE = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"say \\"hi\\", \\u00e9"}]}]}]}'


def as_csv(text: str) -> str:
    row = io.StringIO()
    csv.writer(row).writerow(["1732453572011", text])
    return row.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        f"2026-11-24T13:06:12.011Z {LINE}",  # an export to S3
        f"2026-11-24T13:06:12.011000+00:00 2026/11/24/[$LATEST]5523 {LINE}\r\n",  # aws logs tail
        f"EVENTS\t3889\t1732453572011\t2026/11/24/[$LATEST]5523\t{LINE}\t1732453573000",  # --output text
        f'            "message": {json.dumps(LINE)},\n',  # aws logs filter-log-events
        json.dumps({"time": "2026-11-24T13:06:12.011Z", "type": "extension", "record": LINE + "\n"}),
        as_csv(LINE),  # Logs Insights
    ],
)
def test_an_export_is_found_whatever_cloudwatch_puts_around_it(line: str) -> None:
    found = classify(line.encode())
    assert found.kind == EMBEDDED
    assert json.loads(found.export) == json.loads(LINE)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE, Line(EXPORT)),
        (LINE[:-9], Line(EXPORT)),  # broken, which DuckDB says
        ('  { "resourceSpans" : [] }', Line(EXPORT)),
        (" \r\n", Line(BLANK)),
        ("START RequestId: 1 Version: $LATEST", Line(OTHER)),
        ('{"level":"INFO","message":"resourceSpans were sent"}', Line(OTHER)),
        ('{"resourceLogs":[]}', Line(FOREIGN, format="OTLP logs")),
        ('2026-11-24T13:06:12Z {"resourceMetrics":[]}', Line(FOREIGN, format="OTLP metrics")),
        ('[{"traceId":"1","localEndpoint":{}}]', Line(FOREIGN, format="Zipkin spans")),
        ('{"name":"a","trace_id":"1-6b058bc4-125984e799b67fb9edf720e6"}', Line(FOREIGN, format="X-Ray segments")),
        ('{"data":[{"traceID":"1"}]}', Line(FOREIGN, format="Jaeger traces")),
        ('{"message":"{\\"resourceSpans\\":[{\\"sc', Line(EMBEDDED, b'"{\\"resourceSpans\\":[{\\"sc')),
    ],
)
def test_what_a_line_is(line: str, expected: Line) -> None:
    assert classify(line.encode()) == expected
