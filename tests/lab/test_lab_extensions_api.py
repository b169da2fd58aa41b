"""The Extensions API over real HTTP, called by extensions that do it right and by some that do not."""

import json
import os
import uuid
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import ScriptedLab, StartLab

SOURCE = "def handler(event, context): return 1"


def forbidden(lab: "ScriptedLab") -> list[tuple[int, str, str]]:
    replies = [(each["status"], json.loads(each["body"])) for each in lab.said("extension") if "status" in each]
    return [(status, body["errorType"], body["errorMessage"]) for status, body in replies]


@pytest.mark.parametrize(
    ("headers", "body", "error_type", "message"),
    [
        ({}, '{"events":[]}', "Extension.InvalidExtensionName", "Empty extension name"),
        (
            {"Lambda-Extension-Name": "probe"},
            '{"events":["FOO"]}',
            "Extension.InvalidEventType",
            "FOO: ErrorInvalidEventType",
        ),
        (
            {"Lambda-Extension-Name": "probe"},
            '{"events":[],"configurationKeys":["a"]}',
            "InvalidRequestFormat",
            "configurationKeys are deprecated; use environment variables instead",
        ),
        (
            {"Lambda-Extension-Name": "internal"},
            '{"events":["SHUTDOWN"]}',
            "Extension.InvalidEventType",
            "SHUTDOWN: ErrorInvalidEventType",
        ),
    ],
)
def test_a_refused_registration_can_be_tried_again(
    start_lab: "StartLab", headers: dict[str, str], body: str, error_type: str, message: str
) -> None:
    lab = start_lab(
        SOURCE,
        extensions={
            "probe": f"""
status, _, body = call("POST", "/2020-01-01/extension/register", {body!r}, {headers!r})
say(status=status, body=body)
serve(register(["SHUTDOWN"]))
"""
        },
    )
    assert lab.invoke().payload == b"1"
    assert forbidden(lab) == [(403, error_type, message)]


def test_a_registration_that_is_no_json_is_refused(start_lab: "StartLab") -> None:
    lab = start_lab(
        SOURCE,
        extensions={
            "probe": """
name = {"Lambda-Extension-Name": "probe"}
status, _, body = call("POST", "/2020-01-01/extension/register", "{", name)
say(status=status, body=body)
serve(register(["SHUTDOWN"]))
"""
        },
    )
    lab.invoke()
    ((status, error_type, _),) = forbidden(lab)
    assert (status, error_type) == (403, "InvalidRequestFormat")


def test_the_reply_to_a_registration_names_the_function_and_on_request_the_account(start_lab: "StartLab") -> None:
    lab = start_lab(
        SOURCE,
        extensions={
            "probe": """
headers = {"Lambda-Extension-Name": "probe", "Lambda-Extension-Accept-Feature": "accountId"}
status, headers, body = call("POST", "/2020-01-01/extension/register", '{"events":[]}', headers)
say(identifier=headers["lambda-extension-identifier"], reply=body)
next_event({"Lambda-Extension-Identifier": headers["lambda-extension-identifier"]})
"""
        },
    )
    lab.invoke()
    (seen,) = lab.said("extension")
    assert str(uuid.UUID(seen["identifier"])) == seen["identifier"]
    assert seen["reply"] == (
        '{"accountId":"012345678912","functionName":"function","functionVersion":"$LATEST","handler":"app.handler"}\n'
    )


def test_calls_in_the_wrong_state_or_without_identity_are_refused(start_lab: "StartLab") -> None:
    lab = start_lab(
        SOURCE,
        extensions={
            "probe": """
me = register(["SHUTDOWN"])
unknown = "3f0ad4ee-8b6d-4a52-9d53-3cf2cd8bb9ab"
say(me=me["Lambda-Extension-Identifier"])
EXTENSION = "/2020-01-01/extension"
error_type = {"Lambda-Extension-Function-Error-Type": "Extension.Reason"}
for method, path, headers in [
    ("POST", "/register", {"Lambda-Extension-Name": "probe"}),
    ("GET", "/event/next", {}),
    ("GET", "/event/next", {"Lambda-Extension-Identifier": "1"}),
    ("GET", "/event/next", {"Lambda-Extension-Identifier": unknown}),
    ("POST", "/init/error", me),
]:
    status, _, body = call(method, EXTENSION + path, '{"events":[]}', headers)
    say(status=status, body=body)
event = next_event(me)
assert event["eventType"] == "SHUTDOWN"
status, _, body = call("POST", EXTENSION + "/init/error", "{}", {**me, **error_type})
say(status=status, body=body)
"""
        },
    )
    lab.invoke()
    lab.stop()
    me = lab.said("extension")[0]["me"]
    not_allowed = "Error: State transition is not allowed"
    assert forbidden(lab) == [
        (
            403,
            "Extension.InvalidExtensionState",
            f"State transition from Registered to Registered failed for extension probe. {not_allowed}",
        ),
        (403, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"),
        (403, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"),
        (
            403,
            "Extension.UnknownExtensionIdentifier",
            "Unknown extension 3f0ad4ee-8b6d-4a52-9d53-3cf2cd8bb9ab",
        ),
        (403, "Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found"),
        (
            403,
            "Extension.InvalidExtensionState",
            f"State transition from Running to InitError failed for extension {me}. {not_allowed}",
        ),
    ]


def test_a_second_next_is_refused_while_one_is_pending(start_lab: "StartLab") -> None:
    lab = start_lab(
        SOURCE,
        extensions={
            "probe": """
me = register(["SHUTDOWN"])
pending = http.client.HTTPConnection(API)
pending.request("GET", "/2020-01-01/extension/event/next", None, me)
refusal = None
while refusal is None:
    # The first one may still be on its way: then this one is the pending one, and the first the refused one.
    other = http.client.HTTPConnection(API)
    other.request("GET", "/2020-01-01/extension/event/next", None, me)
    import select
    readable, _, _ = select.select([pending.sock, other.sock], [], [])
    refusal = (pending if pending.sock in readable else other).getresponse()
say(status=refusal.status, body=refusal.read().decode())
signal.pause()
"""
        },
    )
    lab.invoke()
    ((status, error_type, message),) = forbidden(lab)
    assert (status, error_type) == (403, "Extension.InvalidExtensionState")
    assert message.startswith("State transition from Ready to Ready failed for extension ")


def test_an_internal_extension_registers_from_within_the_runtime_until_init_is_over(start_lab: "StartLab") -> None:
    lab = start_lab(
        """
import http.client, json, os, threading
def register(name):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    headers = {"Lambda-Extension-Name": name}
    connection.request("POST", "/2020-01-01/extension/register", '{"events":["INVOKE"]}', headers)
    reply = connection.getresponse()
    return connection, reply.headers.get("Lambda-Extension-Identifier"), reply.read().decode()
connection, identifier, _ = register("inside")
events = []
def poll():
    while True:
        headers = {"Lambda-Extension-Identifier": identifier}
        connection.request("GET", "/2020-01-01/extension/event/next", None, headers)
        events.append(json.loads(connection.getresponse().read()))
threading.Thread(target=poll, daemon=True).start()
def handler(event, context):
    while not events:
        pass
    return [events.pop(0)["requestId"], register("inside")[2], register("late")[2]]
"""
    )
    given = lab.invoke()
    request_id, again, late = json.loads(given.payload)
    assert request_id == given.request_id
    for reply in (again, late):
        assert json.loads(reply) == {
            "errorMessage": "Extension registration closed already",
            "errorType": "Extension.RegistrationClosed",
        }
    assert lab.records("extension") == [{"name": "inside", "state": "Ready", "events": ["INVOKE"]}]


def test_extensions_lack_what_lambda_withholds_from_them(start_lab: "StartLab") -> None:
    lab = start_lab(
        SOURCE,
        environment={"MINE": "1", "_HIDDEN": "1"},
        extensions={"probe": 'say(variables=dict(os.environ), argv=sys.argv)\nserve(register(["SHUTDOWN"]))\n'},
    )
    lab.invoke()
    variables = lab.said("extension")[0]["variables"]
    assert variables["MINE"] == "1"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "function"
    assert variables["COLDSPAN_LISTEN"].startswith("127.0.0.1:")
    assert os.path.basename(variables["COLDSPAN_CHANNEL"]) == "channel"
    withheld = {"AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "LAMBDA_TASK_ROOT", "AWS_EXECUTION_ENV"}
    assert not withheld & set(variables)
    assert not [name for name in variables if name.startswith("_")]
    assert len(lab.said("extension")[0]["argv"]) == 1
