"""The Runtime API over real HTTP, called by runtimes that do what they should not."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from coldspan_lab.service import InitType

if TYPE_CHECKING:
    from tests.lab.conftest import StartLab

LOOP = """
while True:
    request_id, headers, body = next_invocation()
    respond(request_id)
"""


def refused(state: str, act: str) -> dict[str, str]:
    message = f"State transition from {state} to {act} failed for runtime. Error: State transition is not allowed"
    return {"errorMessage": message, "errorType": "InvalidStateTransition"}


def test_next_carries_lambdas_headers_and_the_event_as_it_was_sent(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
request_id, headers, body = next_invocation()
say(headers=headers, body=body, now=time.time())
respond(request_id)
next_invocation()
""",
        timeout_s=7,
    )
    given = lab.invoke(b'{"a" :1}', client_context='{"custom":{}}')
    lab.wait_frozen()
    (seen,) = lab.said("function")
    deadline_ms = int(seen["headers"].pop("lambda-runtime-deadline-ms"))
    assert 4 < deadline_ms / 1000 - seen["now"] <= 7
    assert seen["body"] == '{"a" :1}'
    assert seen["headers"] == {
        "lambda-runtime-aws-request-id": given.request_id,
        "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:012345678912:function:function",
        "lambda-runtime-trace-id": given.trace_header,
        "lambda-runtime-client-context": '{"custom":{}}',
        "content-type": "application/json",
        "content-length": "8",
    }


def test_next_while_running_returns_the_same_event_again(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
ids = [next_invocation()[0] for _ in range(3)]
respond(ids[0], json.dumps(ids))
next_invocation()
"""
    )
    given = lab.invoke()
    assert json.loads(given.payload) == [given.request_id] * 3


@pytest.mark.parametrize(
    ("calls", "status", "error"),
    [
        (
            'status, _, body = respond("other")',
            400,
            {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"},
        ),
        ("respond(id); status, _, body = respond(id)", 403, refused("RuntimeResponseSentState", "InvocationResponse")),
        (
            'respond(id); status, _, body = call("POST", f"{RUNTIME}/invocation/{id}/error", "{}")',
            403,
            refused("RuntimeResponseSentState", "InvocationErrorResponse"),
        ),
        ('status, _, body = call("POST", f"{RUNTIME}/init/error", "{}")', 403, refused("Running", "InitError")),
        ('status, _, body = call("GET", f"{RUNTIME}/restore/next")', 404, None),
        ('status, _, body = call("POST", f"{RUNTIME}/restore/error")', 404, None),
    ],
)
def test_a_wrong_call_is_refused_with_lambdas_words(
    start_lab: "StartLab", calls: str, status: int, error: dict[str, Any] | None
) -> None:
    lab = start_lab(
        runtime=f"""
id, _, _ = next_invocation()
{calls}
say(status=status, body=body)
respond(id)
next_invocation()
"""
    )
    lab.invoke()
    lab.wait_frozen()
    (seen,) = lab.said("function")
    assert seen["status"] == status
    if error is not None:
        assert json.loads(seen["body"]) == error
        assert seen["body"].endswith("\n")


SNAPSHOT = """
def restore(call_, body=None):
    status, _, reply = call("GET" if body is None else "POST", f"{RUNTIME}/restore/{call_}", body)
    return status, reply and json.loads(reply)

"""


def test_restore_next_is_answered_at_the_restore_and_refused_afterwards(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime=f"""{SNAPSHOT}
early = restore("error", "{{}}")
say(early=early, restored=restore("next"), again=restore("next"))
{LOOP}
""",
        init_type=InitType.SNAP_START,
        init_gap_s=0,
    )
    assert lab.said("function") == []
    assert lab.invoke().payload == b"null"
    (said,) = lab.said("function")
    assert said == {
        "early": [403, refused("Started", "RuntimeRestoreErrorState")],
        "restored": [200, ""],
        "again": [403, refused("Restoring", "Ready")],
    }


def test_a_runtime_without_restore_hooks_is_restored_at_once(start_lab: "StartLab") -> None:
    lab = start_lab(runtime=LOOP, init_type=InitType.SNAP_START, init_gap_s=0)
    assert lab.invoke().payload == b"null"
    lab.wait_frozen()
    assert lab.records("restoreReport")[0]["status"] == "success"
    assert lab.records("report")[0]["metrics"]["restoreDurationMs"] < 1_000


@pytest.mark.parametrize("call", ["restore/error", "init/error"])
def test_an_error_posted_while_restoring_ends_the_restore(start_lab: "StartLab", call: str) -> None:
    lab = start_lab(
        runtime=f"""{SNAPSHOT}
restore("next")
headers = {{"Lambda-Runtime-Function-Error-Type": "Runtime.AfterRestoreError"}}
call("POST", f"{{RUNTIME}}/{call}", "{{}}", headers)
time.sleep(60)
""",
        init_type=InitType.SNAP_START,
        init_gap_s=0,
    )
    given = lab.invoke()
    assert (given.status, given.exception) == (400, "SnapStartException")
    lab.wait_frozen()
    assert lab.types()[-3:] == ["restoreStart", "restoreRuntimeDone", "restoreReport"]
    for record in lab.records("restoreRuntimeDone") + lab.records("restoreReport"):
        assert (record["status"], record["errorType"]) == ("error", "Runtime.AfterRestoreError")


def test_a_response_before_the_first_next_is_refused(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime=f"""
status, _, body = respond("00000000-0000-0000-0000-000000000000")
say(status=status, type=json.loads(body)["errorType"])
{LOOP}
"""
    )
    assert lab.invoke().payload == b"null"
    assert lab.said("function") == [{"status": 400, "type": "InvalidRequestID"}]


def test_an_unknown_response_mode_is_refused_and_the_runtime_stuck_until_the_timeout(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
mode = {"Lambda-Runtime-Function-Response-Mode": "buffered"}
say(reply=call("POST", f"{RUNTIME}/invocation/{id}/response", "null", mode)[2])
say(reply=call("GET", f"{RUNTIME}/invocation/next")[2])
time.sleep(60)
""",
        timeout_s=1.0,
    )
    given = lab.invoke()
    lab.wait_frozen()
    assert json.loads(given.payload)["errorType"] == "Runtime.InvalidResponseModeHeader"
    replies = [json.loads(each["reply"]) for each in lab.said("function")]
    assert replies[0] == {
        "errorMessage": "Invalid function response mode",
        "errorType": "InvalidFunctionResponseMode",
    }
    assert replies[1] == refused("InvocationResponse", "Ready")
    assert lab.records("runtimeDone")[0]["status"] == "timeout"


def test_a_response_over_the_limit_is_refused_and_the_runtime_goes_on(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
for size in (6291556, 6291557):
    id, _, _ = next_invocation()
    status, _, body = respond(id, "x" * size)
    say(status=status, body=body)
next_invocation()
"""
    )
    assert len(lab.invoke().payload) == 6_291_556
    given = lab.invoke()
    lab.wait_frozen()
    assert given.function_error == "Unhandled"
    assert json.loads(given.payload) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    accepted, refusal = lab.said("function")
    assert accepted == {"status": 202, "body": '{"status":"OK"}\n'}
    assert refusal["status"] == 413
    assert json.loads(refusal["body"]) == {
        "errorMessage": "Exceeded maximum allowed payload size (6291556 bytes).",
        "errorType": "RequestEntityTooLarge",
    }
    assert [record["status"] for record in lab.records("runtimeDone")] == ["success", "success"]


def test_a_truncated_response_is_refused_and_its_caller_told(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
head = f"POST {RUNTIME}/invocation/{id}/response HTTP/1.1\\r\\nHost: {API}\\r\\nContent-Length: 10\\r\\n\\r\\n"
say(reply=raw(head.encode() + b"123"))
next_invocation()
"""
    )
    given = lab.invoke()
    lab.wait_frozen()
    assert json.loads(given.payload)["errorType"] == "Runtime.TruncatedResponse"
    reply = lab.said("function")[0]["reply"]
    assert reply.startswith("HTTP/1.1 400 ")
    assert json.loads(reply.partition("\r\n\r\n")[2])["errorType"] == "TruncatedHTTPRequest"


def test_a_chunked_response_is_taken_as_a_whole(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime="""
id, _, _ = next_invocation()
call("POST", f"{RUNTIME}/invocation/{id}/response", iter([b'{"a":', b'1}']),
     {"Lambda-Runtime-Function-Response-Mode": "streaming"})
next_invocation()
"""
    )
    assert lab.invoke().payload == b'{"a":1}'


def test_ping_and_metadata_are_answered(start_lab: "StartLab") -> None:
    lab = start_lab(
        runtime=f"""
say(ping=call("GET", "/2018-06-01/ping")[2])
path = "/2026-01-15/metadata/execution-environment"
say(denied=call("GET", path)[0])
token = os.environ["AWS_LAMBDA_METADATA_TOKEN"]
say(zone=call("GET", path, None, {{"Authorization": "Bearer " + token}})[2])
{LOOP}
"""
    )
    lab.invoke()
    ping, denied, zone = lab.said("function")
    assert (ping, denied) == ({"ping": "pong"}, {"denied": 401})
    assert json.loads(zone["zone"]) == {"AvailabilityZoneID": "use1-az1"}


@pytest.mark.parametrize(
    ("posted", "kept"),
    [
        ("Runtime.ImportModuleError", "Runtime.ImportModuleError"),
        ("ValueError", "Runtime.Unknown"),
        ("Function.1", "Function.Unknown"),
    ],
)
def test_an_init_error_keeps_its_type_if_it_is_category_and_reason(
    start_lab: "StartLab", posted: str, kept: str
) -> None:
    lab = start_lab(
        runtime=f"""
error = {{"errorType": "E", "errorMessage": "m"}}
call("POST", RUNTIME + "/init/error", json.dumps(error), {{"Lambda-Runtime-Function-Error-Type": "{posted}"}})
sys.exit(1)
"""
    )
    given = lab.invoke()
    assert (given.function_error, json.loads(given.payload)) == ("Unhandled", {"errorType": "E", "errorMessage": "m"})
    assert [(each["phase"], each["status"], each["errorType"]) for each in lab.records("initReport")] == [
        ("init", "error", kept),
        ("invoke", "error", kept),
    ]
