"""Responses that are sent while they are made, from a scripted runtime over the Runtime API to boto3."""

import base64
import json
import os
import socket
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from coldspan_lab.runtime_api import MAX_STREAM

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from tests.lab.conftest import Connect, StartLab

STREAMS = """
id, _, _ = next_invocation()
response = Streamed(id)
for piece in (b"one ", b"two ", b"three"):
    response.write(piece)
say(reply=response.end())
next_invocation()
"""
BREAKS_OFF = """
id, _, _ = next_invocation()
response = Streamed(id)
response.write(b"so far")
say(reply=response.end(Lambda_Runtime_Function_Error_Type="Function.TokenLimit",
                       Lambda_Runtime_Function_Error_Body="eyJlcnJvck1lc3NhZ2UiOiJubyBtb3JlIn0="))
next_invocation()
"""
NO_MORE = '{"errorMessage":"no more"}'
MIB = 1_048_576


def stream(client: "LambdaClient", **call: Any) -> tuple[list[bytes], dict[str, Any]]:
    """The chunks, and what InvokeComplete says."""
    reply = client.invoke_with_response_stream(FunctionName="function", **call)
    assert reply["StatusCode"] == 200
    assert reply["ExecutedVersion"] == "$LATEST"
    assert reply["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    *chunks, last = reply["EventStream"]
    return [chunk["PayloadChunk"]["Payload"] for chunk in chunks], dict(last["InvokeComplete"])


def open_stream(endpoint: str) -> socket.socket:
    """The request is sent, nothing of the reply is read."""
    host, port = endpoint.removeprefix("http://").split(":")
    caller = socket.create_connection((host, int(port)))
    path = "/2021-11-15/functions/function/response-streaming-invocations"
    caller.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
    return caller


def test_the_caller_has_a_piece_before_the_next_one_is_made(
    start_lab: "StartLab", connect: "Connect", tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    lab = start_lab(
        runtime=f"""
id, _, _ = next_invocation()
response = Streamed(id)
with open({str(fifo)!r}) as told:
    for piece in (b"one", b"two"):
        response.write(piece)
        told.readline()
response.end()
next_invocation()
"""
    )
    seen = []
    reply = connect(lab).invoke_with_response_stream(FunctionName="function")
    with fifo.open("w", buffering=1) as tell:
        for event in reply["EventStream"]:
            seen.append(event)
            if "PayloadChunk" in event:
                tell.write("got it\n")
    assert seen == [
        {"PayloadChunk": {"Payload": b"one"}},
        {"PayloadChunk": {"Payload": b"two"}},
        {"InvokeComplete": {}},
    ]


def test_the_runtime_is_answered_and_the_platform_tells_how_long_it_took(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    lab = start_lab(runtime=STREAMS)
    chunks, end = stream(connect(lab))
    lab.wait_frozen()
    assert (b"".join(chunks), end) == (b"one two three", {})
    assert lab.said("function")[0]["reply"].startswith("HTTP/1.1 202 ")
    (done,) = lab.records("runtimeDone")
    assert (done["status"], done["metrics"]["producedBytes"]) == ("success", 13)
    assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration", "runtimeOverhead"]
    moments = [each for each in lab.moments() if each.startswith("response")]
    assert moments == ["response begun", "response received", "response accepted"]


def test_a_function_that_does_not_stream_yields_one_chunk(start_lab: "StartLab", connect: "Connect") -> None:
    client = connect(start_lab("def handler(event, context): return {'event': event}"))
    assert stream(client, Payload=b'{"a": 1}') == ([b'{"event": {"a": 1}}'], {})


def test_an_error_that_is_reported_at_once_is_all_that_the_caller_gets(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    chunks, end = stream(connect(start_lab("def handler(event, context): raise ValueError('boom')")))
    assert (chunks, end["ErrorCode"]) == ([], "Unhandled")
    assert json.loads(end["ErrorDetails"])["errorType"] == "ValueError"


def test_an_error_in_the_middle_ends_the_stream_with_its_type_and_body(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    lab = start_lab(runtime=BREAKS_OFF)
    chunks, end = stream(connect(lab))
    lab.wait_frozen()
    assert (chunks, end) == ([b"so far"], {"ErrorCode": "Function.TokenLimit", "ErrorDetails": NO_MORE})
    assert lab.said("function")[0]["reply"].startswith("HTTP/1.1 202 ")


def test_the_last_event_carries_the_log_where_it_is_asked_for(start_lab: "StartLab", connect: "Connect") -> None:
    _, end = stream(connect(start_lab(runtime=STREAMS)), LogType="Tail")
    log = base64.b64decode(end["LogResult"]).decode().splitlines()
    assert log[0].startswith("START ")
    assert log[-1].startswith("REPORT ")


def test_a_caller_that_waits_for_the_whole_gets_the_whole(start_lab: "StartLab", connect: "Connect") -> None:
    reply = connect(start_lab(runtime=STREAMS)).invoke(FunctionName="function")
    assert (reply["Payload"].read(), "FunctionError" in reply) == (b"one two three", False)


def test_a_caller_that_waits_for_the_whole_gets_the_error_in_its_place(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    reply = connect(start_lab(runtime=BREAKS_OFF)).invoke(FunctionName="function")
    assert (reply["Payload"].read(), reply["FunctionError"]) == (NO_MORE.encode(), "Unhandled")


def test_a_connection_that_closes_in_the_middle_is_a_truncated_response(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
response = Streamed(id)
response.write(b"so far")
say(reply=response.reply())
next_invocation()
"""
    )
    chunks, end = stream(connect(lab))
    lab.wait_frozen()
    assert (chunks, end["ErrorCode"]) == ([b"so far"], "Runtime.TruncatedResponse")
    reply = lab.said("function")[0]["reply"]
    assert reply.startswith("HTTP/1.1 400 ")
    assert json.loads(reply.partition("\r\n\r\n")[2])["errorType"] == "TruncatedHTTPRequest"


def test_a_runtime_that_dies_in_the_middle_ends_the_stream_and_its_environment(
    start_lab: "StartLab", connect: "Connect", tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    lab = start_lab(
        runtime=f"""
id, _, _ = next_invocation()
response = Streamed(id)
response.write(b"so far")
open({str(fifo)!r}).read()
os._exit(3)
"""
    )
    reply = connect(lab).invoke_with_response_stream(FunctionName="function")
    events = iter(reply["EventStream"])
    assert next(events) == {"PayloadChunk": {"Payload": b"so far"}}
    fifo.write_text("die")
    (end,) = events
    lab.wait_frozen()
    # whichever is seen first
    assert end["InvokeComplete"]["ErrorCode"] in ("Runtime.TruncatedResponse", "Runtime.ExitError")
    assert lab.records("runtimeDone")[0]["errorType"] == "Runtime.ExitError"


def test_the_functions_time_runs_out_in_the_middle(start_lab: "StartLab", connect: "Connect") -> None:
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
response = Streamed(id)
response.write(b"so far")
time.sleep(60)
""",
        timeout_s=1.0,
    )
    chunks, end = stream(connect(lab))
    assert (chunks, end["ErrorCode"]) == ([b"so far"], "Sandbox.Timedout")
    assert json.loads(end["ErrorDetails"])["errorMessage"].endswith("Task timed out after 1.00 seconds")


def test_a_caller_that_goes_away_does_not_stop_the_function(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
while True:
    id, _, _ = next_invocation()
    response = Streamed(id)
    for _ in range(64):
        response.write(bytes(65536))
    response.end()
"""
    )
    with open_stream(lab.endpoint) as caller:
        assert caller.recv(12) == b"HTTP/1.1 200"
    lab.wait_frozen()
    assert lab.records("runtimeDone")[0]["metrics"]["producedBytes"] == 64 * 65536
    assert len(lab.invoke().payload) == 64 * 65536
    assert lab.moments().count("runtime spawned") == 1


def test_a_caller_that_does_not_read_holds_the_runtime_up(start_lab: "StartLab") -> None:
    """What is under way is in the kernel's buffers and a few of the lab's."""
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
response = Streamed(id)
response.connection.settimeout(0.5)
sent = 0
try:
    while sent < 64:
        response.write(bytes(1 << 20))
        sent += 1
except TimeoutError:
    pass
say(sent=sent)
time.sleep(60)
""",
        timeout_s=2,
    )
    with open_stream(lab.endpoint) as caller:
        assert caller.recv(12) == b"HTTP/1.1 200"
        lab.wait_frozen()
    (said,) = lab.said("function")
    assert said["sent"] < 32


def test_while_a_response_is_streamed_another_request_gets_an_environment_of_its_own(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    lab = start_lab(
        runtime="""
id, _, event = next_invocation()
response = Streamed(id)
response.write(b"begun")
if event == "1":
    time.sleep(60)
response.end()
next_invocation()
"""
    )
    reply = connect(lab).invoke_with_response_stream(FunctionName="function", Payload=b"1")
    with closing(reply["EventStream"]) as events:
        assert next(iter(events)) == {"PayloadChunk": {"Payload": b"begun"}}
        assert lab.invoke(b"2").payload == b"begun"
    assert lab.moments().count("runtime spawned") == 2


@pytest.mark.parametrize("beyond", [0, 1])
def test_200_mib_pass_with_flat_memory_and_no_byte_more(start_lab: "StartLab", connect: "Connect", beyond: int) -> None:
    lab = start_lab(
        runtime=f"""
id, _, _ = next_invocation()
response = Streamed(id)
for _ in range({MAX_STREAM // MIB}):
    response.write(bytes(1 << 20))
response.write(b"!" * {beyond}) if {beyond} else None
say(reply=response.end())
next_invocation()
"""
    )
    reply = connect(lab).invoke_with_response_stream(FunctionName="function")
    before, size, end = forget_peak_memory_mib(), 0, None
    for event in reply["EventStream"]:
        if "PayloadChunk" in event:
            size += len(event["PayloadChunk"]["Payload"])
        else:
            end = event["InvokeComplete"]
    assert peak_memory_mib() - before < 64
    lab.wait_frozen()
    status = lab.said("function")[0]["reply"][:12]
    if beyond:
        assert (end or {})["ErrorCode"] == "Function.ResponseSizeTooLarge"
        assert status == "HTTP/1.1 413"
    else:
        assert (size, end, status) == (MAX_STREAM, {}, "HTTP/1.1 202")


def forget_peak_memory_mib() -> int:
    """What is resident now; from here on the peak counts."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory_mib()


def peak_memory_mib() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM:"))


def test_a_stream_larger_than_a_plain_answer_is_refused_to_a_caller_who_waits_for_the_whole(
    start_lab: "StartLab",
) -> None:
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
response = Streamed(id)
for _ in range(7):
    response.write(bytes(1 << 20))
say(reply=response.end())
next_invocation()
"""
    )
    given = lab.invoke()
    lab.wait_frozen()
    assert json.loads(given.payload)["errorType"] == "Function.ResponseSizeTooLarge"
    assert lab.said("function")[0]["reply"].startswith("HTTP/1.1 413 ")


def test_an_unknown_function_is_refused_as_by_invoke(start_lab: "StartLab", connect: "Connect") -> None:
    client = connect(start_lab("def handler(event, context): return 1"))
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.invoke_with_response_stream(FunctionName="other")
    with pytest.raises(ClientError, match="Event: expected one of RequestResponse, DryRun"):
        client.invoke_with_response_stream(FunctionName="function", InvocationType="Event")  # type: ignore[arg-type]
