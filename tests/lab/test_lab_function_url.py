"""The function's URL, called by a real curl."""

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coldspan_lab.service import InvokeMode
from coldspan_testing.callers import PARTIAL_FILE, Curl, parse

if TYPE_CHECKING:
    from tests.lab.conftest import StartLab

PRELUDE = (
    '{"statusCode": 201, "headers": {"X-A": "b", "Content-Type": "text/plain"}, "cookies": ["k=v; Path=/", "l=m"]}'
)
STREAMS = f"""
while True:
    id, _, _ = next_invocation()
    response = Streamed(id, "application/vnd.awslambda.http-integration-response")
    head = {PRELUDE!r}.encode() + bytes(8)
    for piece in (head[:20], head[20:-3], head[-3:] + b"one ", b"two"):
        response.write(piece)
    say(reply=response.end())
"""
STREAM: dict[str, Any] = {"invoke_mode": InvokeMode.RESPONSE_STREAM}


def test_a_request_is_an_event_in_payload_format_2(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab("def handler(event, context): return {'event': event, 'id': context.aws_request_id}")
    url = f"{lab.endpoint}/orders/a%20b?x=1&x=2&y="
    before_ms = time.time_ns() // 1_000_000
    sent = curl("-X", "PUT", "-H", "A: 1", "-H", "A: 2", "-b", "k=v; l=m", "--json", '{"n": 1}', url)
    said = json.loads(sent.stdout)
    event, context = said["event"], said["event"]["requestContext"]
    assert event["version"] == "2.0"
    assert (event["rawPath"], event["rawQueryString"]) == ("/orders/a%20b", "x=1&x=2&y=")
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["cookies"] == ["k=v", "l=m"]
    assert "cookie" not in event["headers"]
    assert (event["headers"]["a"], event["headers"]["content-type"]) == ("1,2", "application/json")
    assert (event["body"], event["isBase64Encoded"]) == ('{"n": 1}', False)
    assert (context["http"]["method"], context["http"]["path"]) == ("PUT", "/orders/a%20b")
    assert context["http"]["userAgent"].startswith("curl/")
    assert context["requestId"] == said["id"]
    assert before_ms <= context["timeEpoch"] <= time.time_ns() // 1_000_000


def test_a_body_that_is_not_text_is_base64_and_none_is_absent(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab("def handler(event, context): return {k: event.get(k) for k in ('body', 'isBase64Encoded')}")
    form = curl("-d", "a=1", lab.endpoint)
    assert json.loads(form.stdout) == {"body": "YT0x", "isBase64Encoded": True}
    assert json.loads(curl(lab.endpoint).stdout) == {"body": None, "isBase64Encoded": False}


def test_what_the_function_returns_is_the_response(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab(
        """
def handler(event, context):
    return {"statusCode": 418, "headers": {"X-A": "b\u00e9", "Content-Length": "99"}, "cookies": ["k=v; Path=/", "l=m"],
            "body": "aGk=", "isBase64Encoded": True}
"""
    )
    status, headers, body = parse(curl("--include", lab.endpoint).stdout)
    assert (status, body) == (418, b"hi")
    assert [value for name, value in headers if name == "set-cookie"] == ["k=v; Path=/", "l=m"]
    assert ("x-a", "bé") in headers
    assert ("content-length", "2") in headers
    assert "x-amzn-requestid" in dict(headers)


def test_head_has_the_headers_and_no_body(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab("def handler(event, context): return {'method': event['requestContext']['http']['method']}")
    status, headers, body = parse(curl("--head", lab.endpoint).stdout)
    assert (status, dict(headers)["content-type"], body) == (200, "application/json", b"")


def test_a_functions_error_is_a_bad_gateway(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab("def handler(event, context): raise ValueError('boom')")
    status, _, body = parse(curl("--include", lab.endpoint).stdout)
    assert (status, body) == (502, b"Internal Server Error")


def test_a_response_that_is_none_is_a_bad_gateway_and_the_log_says_why(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab("def handler(event, context): return {'statusCode': 200, 'body': {'n': 1}}")
    assert parse(curl("--include", lab.endpoint).stdout)[0] == 502
    said = [line.text for line in lab.log if line.source == "lab"]
    assert said == ["function URL: body: expected a string, and there is {'n': 1}"]


def test_a_stream_begins_with_its_prelude_and_comes_in_chunks(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab(runtime=STREAMS, **STREAM)
    status, headers, body = parse(curl("--include", "--raw", lab.endpoint).stdout)
    assert (status, body) == (201, b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n")
    assert [value for name, value in headers if name == "set-cookie"] == ["k=v; Path=/", "l=m"]
    assert {("x-a", "b"), ("content-type", "text/plain"), ("transfer-encoding", "chunked")} <= set(headers)
    lab.wait_frozen()
    assert lab.said("function")[0]["reply"].startswith("HTTP/1.1 202 ")


def test_the_first_bytes_are_there_while_the_function_still_works(start_lab: "StartLab", tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    lab = start_lab(
        runtime=f"""
id, _, _ = next_invocation()
response = Streamed(id)
response.write(b"first")
open({str(fifo)!r}).read()
response.write(b"second")
response.end()
next_invocation()
""",
        **STREAM,
    )
    host, port = lab.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        seen = b""
        while b"first" not in seen:
            seen += client.recv(65536)
        fifo.write_text("go on")
        assert b"second" in b"".join(iter(lambda: client.recv(65536), b""))


def test_without_a_prelude_a_stream_is_octets(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab(runtime=STREAMS.replace("application/vnd.awslambda.http-integration-response", ""), **STREAM)
    status, headers, body = parse(curl("--include", lab.endpoint).stdout)
    assert (status, dict(headers)["content-type"]) == (200, "application/octet-stream")
    assert body == PRELUDE.encode() + bytes(8) + b"one two"


def test_what_is_not_streamed_is_passed_on_as_it_is(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab("def handler(event, context): return {'statusCode': 418}", **STREAM)
    status, headers, body = parse(curl("--include", lab.endpoint).stdout)
    assert (status, dict(headers)["content-type"]) == (200, "application/octet-stream")
    assert body == b'{"statusCode": 418}'


@pytest.mark.parametrize("part", ["prelude", "prelude+bytes(8)+b'some'"])
def test_a_stream_that_breaks_off_is_a_bad_gateway_before_its_prelude_and_a_broken_body_after_it(
    start_lab: "StartLab", curl: Curl, part: str
) -> None:
    lab = start_lab(
        runtime=f"""
id, _, _ = next_invocation()
response = Streamed(id, "application/vnd.awslambda.http-integration-response")
prelude = {PRELUDE!r}.encode()
response.write({part})
response.end(Lambda_Runtime_Function_Error_Type="Function.E", Lambda_Runtime_Function_Error_Body="e30=")
next_invocation()
""",
        **STREAM,
    )
    done = curl("--include", lab.endpoint)
    status, _, body = parse(done.stdout)
    expected = (502, b"Internal Server Error", 0) if part == "prelude" else (201, b"some", PARTIAL_FILE)
    assert (status, body, done.returncode) == expected


def test_a_prelude_that_is_none_is_a_bad_gateway_and_the_function_goes_on(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
response = Streamed(id, "application/vnd.awslambda.http-integration-response")
for _ in range(64):
    response.write(bytes(1) * 7 + b"x" * 9000)
response.end()
next_invocation()
""",
        **STREAM,
    )
    assert parse(curl("--include", lab.endpoint).stdout)[0] == 502
    lab.wait_frozen()
    said = [line.text for line in lab.log if line.source == "lab"]
    assert said == ["function URL: the prelude of the stream: expected 8 NUL bytes within 16384 bytes"]
    assert lab.records("runtimeDone")[0]["status"] == "success"


def test_a_body_beyond_six_mib_is_refused(start_lab: "StartLab", curl: Curl, tmp_path: Path) -> None:
    lab = start_lab("def handler(event, context): return len(event['body'])")
    (tmp_path / "body").write_bytes(b"x" * (6 * 1_048_576 + 1))
    done = curl("--include", "-H", "Expect:", "--data-binary", f"@{tmp_path / 'body'}", lab.endpoint)
    assert parse(done.stdout)[::2] == (413, b"Request Too Long")


def test_the_invoke_api_keeps_its_paths(start_lab: "StartLab", curl: Curl) -> None:
    lab = start_lab("def handler(event, context): return 1")
    assert parse(curl("--include", f"{lab.endpoint}/2015-03-31/functions/").stdout)[0] == 404
    assert curl(f"{lab.endpoint}/2015-03/").stdout == b"1"
