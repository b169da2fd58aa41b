"""Real functions under the real awslambdaric, called as their users call them: with boto3."""

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from tests.lab.conftest import Connect, StartLab

SOURCE = """
import json, os, sys, time
def ok(event, context):
    print("working")
    return {"event": event, "id": context.aws_request_id, "arn": context.invoked_function_arn,
            "left": context.get_remaining_time_in_millis(), "client": context.client_context and
            context.client_context.custom}
def fails(event, context): raise ValueError("boom é")
def exits(event, context): sys.exit(event)
def dies(event, context): os.kill(os.getpid(), 9)
def hangs(event, context): time.sleep(60)
def unserialisable(event, context): return object()
def environment(event, context): return dict(os.environ)
"""


def answer(reply: Any) -> Any:
    return json.loads(reply["Payload"].read())


def test_a_function_gets_event_and_context_and_its_answer_comes_back(start_lab: "StartLab", connect: "Connect") -> None:
    client = connect(start_lab(SOURCE, handler="app.ok", timeout_s=5))
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    reply = client.invoke(FunctionName="function", Payload=b'{"a": [1]}', ClientContext=context, LogType="Tail")
    value = answer(reply)
    assert (reply["StatusCode"], reply["ExecutedVersion"], "FunctionError" in reply) == (200, "$LATEST", False)
    assert value["event"] == {"a": [1]}
    assert value["client"] == {"k": "v"}
    assert value["arn"] == "arn:aws:lambda:us-east-1:012345678912:function:function"
    assert 2000 < value["left"] <= 5000
    log = base64.b64decode(reply["LogResult"]).decode().splitlines()
    assert log[0] == f"START RequestId: {value['id']} Version: $LATEST"
    assert log[1:-1] == ["working", f"END RequestId: {value['id']}"]
    assert log[-1].startswith(f"REPORT RequestId: {value['id']}\tDuration: ")
    assert "\tInit Duration: " in log[-1]


def test_the_trace_header_reaches_the_function_and_its_root_the_caller(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    lab = start_lab(SOURCE, handler="app.environment")
    header = "Root=1-5f35ae12-0c0fec141ab77a00bc047aa2;Parent=2be948a625588e32;Sampled=1"
    given = lab.invoke(trace_header=header)
    assert json.loads(given.payload)["_X_AMZN_TRACE_ID"] == given.trace_header == header
    reply = connect(lab).invoke(FunctionName="function")
    root = reply["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"]
    assert answer(reply)["_X_AMZN_TRACE_ID"].split(";")[0] == root


def test_an_exception_is_answered_as_the_runtime_posted_it_and_the_environment_stays(
    start_lab: "StartLab", connect: "Connect"
) -> None:
    lab = start_lab(SOURCE, handler="app.fails")
    replies = [connect(lab).invoke(FunctionName="function") for _ in range(2)]
    for reply in replies:
        value = answer(reply)
        assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled")
        assert (value["errorType"], value["errorMessage"]) == ("ValueError", "boom é")
    assert len([mark for mark in lab.timeline if mark.what == "runtime spawned"]) == 1


def test_an_unserialisable_result_is_the_runtimes_marshal_error(start_lab: "StartLab") -> None:
    given = start_lab(SOURCE, handler="app.unserialisable").invoke()
    assert given.function_error == "Unhandled"
    assert json.loads(given.payload)["errorType"] == "Runtime.MarshalError"


@pytest.mark.parametrize(
    ("handler", "event", "message"),
    [
        ("app.exits", b"3", "Runtime exited with error: exit status 3"),
        ("app.exits", b"0", "Runtime exited without providing a reason"),
        ("app.dies", b"0", "Runtime exited with error: signal: killed"),
    ],
)
def test_an_exit_is_answered_with_its_status_and_the_next_invocation_starts_anew(
    start_lab: "StartLab", handler: str, event: bytes, message: str
) -> None:
    lab = start_lab(SOURCE, handler=handler)
    for _ in range(2):
        given = lab.invoke(event)
        assert given.function_error == "Unhandled"
        assert json.loads(given.payload) == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {given.request_id} Error: {message}",
        }
    assert len([mark for mark in lab.timeline if mark.what == "runtime spawned"]) == 2


def test_a_timeout_is_answered_at_the_limit(start_lab: "StartLab") -> None:
    lab = start_lab(SOURCE, handler="app.hangs", timeout_s=0.3)
    given = lab.invoke()
    assert (given.status, given.function_error) == (200, "Unhandled")
    assert json.loads(given.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {given.request_id} Error: Task timed out after 0.30 seconds",
    }


def test_an_import_error_is_the_answer_of_every_invocation(start_lab: "StartLab") -> None:
    lab = start_lab("import missing_module")
    for _ in range(2):
        value = json.loads(lab.invoke().payload)
        assert value["errorType"] == "Runtime.ImportModuleError"
        assert "No module named 'missing_module'" in value["errorMessage"]


def test_an_exit_while_importing_is_an_exit_error(start_lab: "StartLab") -> None:
    value = json.loads(start_lab("import sys; sys.exit(7)").invoke().payload)
    assert value["errorType"] == "Runtime.ExitError"
    assert value["errorMessage"].endswith("Error: Runtime exited with error: exit status 7")


def test_the_runtime_has_lambdas_variables_and_none_of_this_shells(
    start_lab: "StartLab", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://of.the.shell:4318")
    lab = start_lab(SOURCE, handler="app.environment", environment={"MINE": "1", "AWS_LAMBDA_FUNCTION_NAME": "no"})
    variables = json.loads(lab.invoke().payload)
    expected = {
        "MINE": "1",
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "_HANDLER": "app.environment",
        "TZ": ":UTC",
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in variables
    assert "PYTHONPATH" not in variables


def test_a_tenant_is_named_to_the_function_and_in_its_events(start_lab: "StartLab", connect: "Connect") -> None:
    lab = start_lab("def handler(event, context): return context.tenant_id")
    assert answer(connect(lab).invoke(FunctionName="function", TenantId="blue")) == "blue"
    lab.wait_frozen()
    for kind in ("start", "runtimeDone", "report"):
        assert lab.records(kind)[0]["tenantId"] == "blue"


def test_event_and_dry_run_are_answered_at_once(start_lab: "StartLab", connect: "Connect") -> None:
    lab = start_lab(SOURCE, handler="app.ok")
    client = connect(lab)
    assert client.invoke(FunctionName="function", InvocationType="DryRun")["StatusCode"] == 204
    assert lab.events == []
    reply = client.invoke(FunctionName="function", InvocationType="Event")
    assert (reply["StatusCode"], reply["Payload"].read()) == (202, b"")
    lab.wait_frozen()
    assert "working" in [line.text for line in lab.log]


@pytest.mark.parametrize(
    "name",
    ["function:$LATEST", "012345678912:function:function", "arn:aws:lambda:us-east-1:012345678912:function:function"],
)
def test_a_function_goes_by_its_name_and_by_its_arn(start_lab: "StartLab", connect: "Connect", name: str) -> None:
    lab = start_lab(SOURCE, handler="app.ok")
    assert connect(lab).invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204


@pytest.mark.parametrize(
    ("call", "status", "code", "message"),
    [
        ({"FunctionName": "other"}, 404, "ResourceNotFoundException", "Function not found: arn:aws:lambda:"),
        ({"Payload": b"{'a'}"}, 400, "InvalidRequestContentException", "Could not parse request body into json: "),
        ({"Payload": b" " * 6_300_000}, 413, "RequestTooLargeException", "Request must be smaller than 6291456 bytes"),
    ],
)
def test_a_bad_call_gets_lambdas_error(
    start_lab: "StartLab", connect: "Connect", call: dict[str, Any], status: int, code: str, message: str
) -> None:
    client = connect(start_lab(SOURCE))
    with pytest.raises(ClientError) as raised:
        client.invoke(**{"FunctionName": "function", **call})
    response = raised.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["Error"]["Code"] == code
    assert message in str(response)
