"""Streamed responses from end to end: the layer's own runtime, the lab, boto3 or curl as the caller, and the trace."""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coldspan_lab.service import InvokeMode, Moment, RuntimeClient
from coldspan_testing.callers import PARTIAL_FILE, Curl, curl_program, lambda_client, parse
from coldspan_testing.runs import Run, StartRun
from coldspan_testing.shapes import Shape, exceptions, shapes, told

MS = 1_000_000
MIB = 1_048_576
COLD: list[Shape] = [
    ("function", "", ""),
    ("init", "function", ""),
    ("load handler", "init", ""),
    ("next", "function", ""),
    ("handler", "function", ""),
    ("response", "handler", ""),
    ("after response", "function", ""),
]

Stream = Callable[..., Run]


@pytest.fixture
def streams(start_run: StartRun) -> Stream:
    """streams(handler, timeout_s=10): that handler of tests/functions/streams, also at a URL that streams."""

    def start(handler: str, timeout_s: float = 10.0) -> Run:
        settings = {
            "handler": f"app.{handler}",
            "runtime": RuntimeClient.COLDSPAN,
            "invoke_mode": InvokeMode.RESPONSE_STREAM,
        }
        quiet = {"COLDSPAN_IMPORTS": "off", "COLDSPAN_MODULE_BODY": "off"}
        return start_run("streams", timeout_s=timeout_s, settings=settings, **quiet)

    return start


def stream(run: Run, event: object, on_chunk: Callable[[bytes], object] = bool) -> tuple[bytes, dict[str, Any]]:
    """Invokes it with boto3: the body, and what InvokeComplete says."""
    client = lambda_client(run.lab.endpoint)
    reply = client.invoke_with_response_stream(FunctionName="function", Payload=json.dumps(event))
    body, end = b"", {}
    for each in reply["EventStream"]:
        if "PayloadChunk" in each:
            body += each["PayloadChunk"]["Payload"]
            on_chunk(each["PayloadChunk"]["Payload"])
        else:
            end = dict(each["InvokeComplete"])
    run.lab.wait_frozen()
    return body, end


def test_the_whole_trace_of_a_streamed_response(streams: Stream) -> None:
    run = streams("stamped")
    body, end = stream(run, 40)  # 400 ms, until telemetry has told of init
    run.close()
    assert end == {}
    assert told(run) == [
        [
            {
                "name": "function",
                "parent": "",
                "aws.lambda.invoked_arn": "arn:aws:lambda:us-east-1:012345678912:function:function",
                "coldspan.init.phase": "init",
                "coldspan.init.type": "on-demand",
                "coldspan.invocation.sequence": 1,
                "coldspan.overhead.extension": float,
                "coldspan.overhead.wrapper": float,
                "coldspan.response.size": len(body),
                "coldspan.response.ttfb": float,
                "coldspan.xray.trace_id": str,
                "faas.coldstart": True,
                "faas.invocation_id": str,
                "faas.trigger": "other",
                "events": ["first_byte"],
            },
            {
                "name": "init",
                "parent": "function",
                "coldspan.init.duration": float,
                "coldspan.init.phase": "init",
                "coldspan.init.type": "on-demand",
                "coldspan.phase": "init",
            },
            {"name": "extension init", "parent": "init"},
            {"name": "runtime boot", "parent": "init"},
            {"name": "load handler", "parent": "init"},
            {"name": "next", "parent": "function", "coldspan.phase": "next"},
            {"name": "handler", "parent": "function", "coldspan.phase": "handler"},
            {"name": "response", "parent": "handler", "coldspan.phase": "response"},
            {
                "name": "after response",
                "parent": "function",
                "coldspan.billed_duration": float,
                "coldspan.memory.max_used": int,
                "coldspan.platform.duration": float,
            },
        ]
    ]


def test_the_first_byte_is_where_lambda_saw_it_and_the_size_what_it_read(streams: Stream) -> None:
    """The lab's clock is the judge. A busy machine keeps it waiting: one of five counts."""
    run = streams("stamped")
    for _ in range(5):
        stream(run, 3)
    run.close()
    seen = {(mark.what, mark.request_id): mark.time_unix_ns for mark in run.lab.timeline}
    done = {
        each["record"]["requestId"]: each["record"] for each in run.lab.events if each["type"] == "platform.runtimeDone"
    }
    late = []
    for server in run.servers:
        (first_byte,) = server.span.events
        request_id = str(server.attributes["faas.invocation_id"])
        response = run.child(run.child(server, "handler"), "response").span
        assert response.start_time_unix_nano == first_byte.time_unix_nano
        ttfb_ns = first_byte.time_unix_nano - server.span.start_time_unix_nano
        assert server.attributes["coldspan.response.ttfb"] == ttfb_ns / 1e9
        assert server.attributes["coldspan.response.size"] == done[request_id]["metrics"]["producedBytes"]
        late.append(seen[Moment.RESPONSE_BEGUN, request_id] - first_byte.time_unix_nano)
    assert -MS < min(late) < 5 * MS


def test_boto3_has_each_chunk_before_the_next_one_is_made(streams: Stream, tmp_path: Path) -> None:
    run = streams("hand_in_hand")
    event = {"chunks": 5, "folder": str(tmp_path)}
    assert stream(run, event, lambda chunk: (tmp_path / chunk.decode()).touch()) == (b"01234", {})
    run.close()
    assert shapes(run) == [COLD]


def test_so_has_curl_at_the_functions_url_after_status_headers_and_cookies(streams: Stream, tmp_path: Path) -> None:
    run = streams("http_hand_in_hand")
    event = json.dumps({"chunks": 3, "folder": str(tmp_path)})
    command = [curl_program(), "--silent", "-N", "--raw", "--include", "--json", event, run.lab.endpoint]
    reply = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as curl:
        assert curl.stdout is not None
        while piece := curl.stdout.read(65536):
            reply += piece
            for number in range(3):
                if reply.endswith(b"1\r\n%d\r\n" % number):
                    (tmp_path / str(number)).touch()
    run.close()
    status, headers, body = parse(reply)
    assert (curl.returncode, status, body) == (0, 201, b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n")
    assert {("content-type", "text/plain"), ("set-cookie", "a=b"), ("transfer-encoding", "chunked")} <= set(headers)
    assert shapes(run) == [COLD]
    assert run.servers[0].attributes["faas.trigger"] == "http"


def failing(error_type: str, handler: str = "", response: str = "", *, cold: bool = True) -> list[Shape]:
    """As COLD, with these marks."""
    marks = {"function": error_type, "handler": handler or error_type, "response": response}
    return [(name, parent, marks.get(name, "")) for name, parent, _ in (COLD if cold else [COLD[0], *COLD[3:]])]


def test_an_error_after_the_first_byte_is_the_handlers_and_the_caller_sees_it(streams: Stream) -> None:
    run = streams("fails")
    for _ in range(2):
        body, end = stream(run, {"after": 2})
        assert (body, end["ErrorCode"]) == (b"01", "ValueError")
        assert json.loads(end["ErrorDetails"])["errorMessage"] == "no luck: é"
    run.close()
    assert shapes(run) == [failing("ValueError"), failing("ValueError", cold=False)]
    assert exceptions(run) == [("handler", "ValueError")] * 2
    assert [server.attributes["coldspan.response.size"] for server in run.servers] == [2, 2]


def test_at_the_functions_url_it_is_a_body_without_its_end(streams: Stream, curl: Curl) -> None:
    run = streams("fails_asynchronously")
    done = curl("-N", run.lab.endpoint)
    run.lab.wait_frozen()
    run.close()
    assert (done.stdout, done.returncode) == (b"one", PARTIAL_FILE)
    assert shapes(run) == [failing("LookupError")]


def test_an_error_before_it_is_an_error_like_any_other(streams: Stream, curl: Curl) -> None:
    run = streams("fails")
    body, end = stream(run, {"after": 0})
    assert (body, end["ErrorCode"]) == (b"", "Unhandled")
    assert json.loads(end["ErrorDetails"])["errorType"] == "ValueError"
    assert parse(curl("--include", run.lab.endpoint).stdout)[::2] == (502, b"Internal Server Error")
    run.lab.wait_frozen()
    run.close()
    both = ("ValueError", "KeyError")  # a request to the URL has no "after"
    assert [trace[-3:-1] for trace in shapes(run)] == [
        [("handler", "function", error_type), ("response", "function", "")] for error_type in both
    ]
    assert not any(server.span.events for server in run.servers)


def test_a_process_that_ends_after_the_first_byte_is_cut_there_and_the_next_start_is_cold(streams: Stream) -> None:
    run = streams("fails")
    body, end = stream(run, {"after": 2, "exit": True})
    assert body == b"01"
    assert end["ErrorCode"] in ("Runtime.TruncatedResponse", "Runtime.ExitError")  # whichever the lab sees first
    stream(run, {"after": 2})
    run.close()
    died, again = shapes(run)
    assert died == failing("Runtime.ExitError!", "Runtime.ExitError", "Runtime.ExitError!")[:-1]
    assert again == failing("ValueError")


def test_a_stream_that_runs_out_of_time_is_cut_at_its_deadline(streams: Stream, tmp_path: Path) -> None:
    run = streams("hand_in_hand", timeout_s=2.0)
    body, end = stream(run, {"chunks": 2, "folder": str(tmp_path)})
    run.close()
    assert (body, end["ErrorCode"]) == (b"0", "Sandbox.Timedout")
    assert shapes(run) == [failing("timeout!", response="timeout!")[:-1]]
    (server,) = run.servers
    response = run.child(run.child(server, "handler"), "response").span
    assert response.end_time_unix_nano == server.span.end_time_unix_nano
    assert "coldspan.response.ttfb" in server.attributes


def test_a_caller_that_goes_away_stops_nothing_and_the_trace_has_all_of_it(streams: Stream) -> None:
    run = streams("large")
    host, port = run.lab.endpoint.removeprefix("http://").split(":")
    path = "/2021-11-15/functions/function/response-streaming-invocations"
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n30".encode())
        assert caller.recv(12) == b"HTTP/1.1 200"
    run.lab.wait_frozen()
    body, _ = stream(run, 1)
    run.close()
    assert shapes(run) == [COLD, [COLD[0], *COLD[3:]]]
    gone, stayed = (server.attributes["coldspan.response.size"] for server in run.servers)
    assert 0 < int(str(gone)) - 30 * MIB < 10  # and the line that tells the memory used
    assert stayed == len(body)
    assert len({span.resource["service.instance.id"] for span in run.servers}) == 1


def test_a_caller_that_waits_for_the_whole_gets_it_and_the_trace_is_that_of_a_stream(streams: Stream) -> None:
    run = streams("generator")
    assert run.lab.invoke(2).payload == "chunk 0 é\nchunk 1 é\n".encode()
    run.lab.wait_frozen()
    run.close()
    assert shapes(run) == [COLD]
    assert "coldspan.response.ttfb" in run.servers[0].attributes


def test_a_stream_too_large_for_who_waits_for_the_whole_is_an_error_of_the_response(streams: Stream) -> None:
    run = streams("large")
    assert b"Function.ResponseSizeTooLarge" in run.lab.invoke(8).payload
    run.lab.wait_frozen()
    assert len(run.lab.invoke(1).payload) > MIB  # by the same process
    run.lab.wait_frozen()
    run.close()
    too_large = "Function.ResponseSizeTooLarge"
    failed, fine = shapes(run)
    assert [shape for shape in failed if shape[2]] == [("function", "", too_large), ("response", "handler", too_large)]
    assert fine == [COLD[0], *COLD[3:]]
