"""The same functions and events under AWS's runtime client and under ours: the same answers, errors, log and exit.

A Runtime API of the tests' own serves both, and keeps every byte. What must differ is normalised: addresses, times,
ids, each client's name for itself, and its own frames where the process ends with a traceback. What may differ is
listed at its case, with the reason.
"""

import difflib
import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coldspan_testing import interpreters
from coldspan_testing.runtime_api import HOUR_MS, Call, Outcome, Reply, RuntimeApiServer, event, run

FUNCTIONS = Path(__file__).parents[1] / "functions"
MAIN = Path(__file__).parents[2] / "wrapper" / "coldspan_wrapper" / "runtime" / "__main__.py"
AWS, OURS = "awslambdaric", "coldspan"
PYTHON = "3.12"
COMPARED_HEADERS = ("content-type", "lambda-runtime-function-error-type", "lambda-runtime-invocation-id")
VALUES = re.findall(r'^    "([^"]+)": ', (FUNCTIONS / "encodes" / "app.py").read_text(), re.MULTILINE)

JSON_LOG = {"AWS_LAMBDA_LOG_FORMAT": "JSON"}
UNICODE = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}
SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
FUNCTION = {
    "AWS_LAMBDA_FUNCTION_NAME": "fn",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/24/[7]abc",
}


@dataclass(frozen=True, slots=True)
class Case:
    function: str
    events: list[Reply] = field(default_factory=list)
    handler: str = "app.handler"
    environment: dict[str, str] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)


def neutral(*names: str, **fields: object) -> list[Reply]:
    return [event(json.dumps({"do": name, **fields}).encode()) for name in names]


def encoded(**environment: str) -> Case:
    return Case(
        "encodes", [event(json.dumps(name).encode()) for name in VALUES if name != "surrogate"], environment=environment
    )


def raw(head: str, body: bytes, *, keeps: bool = False) -> Reply:
    return Reply(raw=f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode("latin-1") + body, keeps=keeps)


DEADLINE = f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + HOUR_MS}\r\nContent-Type: application/json"
CONTEXT = '{"custom":{"a":"é"},"env":{"b":1},"client":{"app_title":"t","other":2},"w3c":%s}'.encode().decode("latin-1")
W3C = '{"traceparent":"00-1-2-01","tracestate":7,"baggage":"k=v","other":"x"}'
CASES = {
    "values": encoded(),
    "values, unicode": encoded(**UNICODE),
    "a value that is no text": Case("encodes", [event(b'"surrogate"'), event(b'"plain"')]),
    "a value that is no text, unicode": Case(
        "encodes", [event(b'"surrogate"'), event(b'"plain"')], environment=UNICODE
    ),
    "context": Case("contexts", [event(b"[1]")], environment=FUNCTION),
    "context, all of it": Case(
        "contexts",
        [
            event(
                b"{}",
                Lambda_Runtime_Client_Context=CONTEXT % W3C,
                Lambda_Runtime_Cognito_Identity='{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}',
                Lambda_Runtime_Trace_Id="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
                Lambda_Runtime_Aws_Tenant_Id="tenant",
                Lambda_Runtime_Invocation_Id="attempt",
            ),
            event(b"{}", Lambda_Runtime_Client_Context="", Lambda_Runtime_Cognito_Identity="null"),
            event(b"{}", Lambda_Runtime_Client_Context=CONTEXT % "null", Lambda_Runtime_Invoked_Function_Arn=None),
            event(b"{}", Lambda_Runtime_Client_Context='{"client":null,"w3c":{"traceparent":[]}}'),
        ],
        environment=FUNCTION,
    ),
    "context without a deadline": Case("contexts", [event(b"{}", Lambda_Runtime_Deadline_Ms=None)]),
    "context past its deadline": Case("contexts", [event(b"{}", Lambda_Runtime_Deadline_Ms="1")]),
    "unreadable context": Case(
        "contexts",
        [
            event(b"{}", Lambda_Runtime_Client_Context="{x"),
            event(b"{}", Lambda_Runtime_Cognito_Identity="[", Lambda_Runtime_Invocation_Id="attempt"),
            event(b"{}"),
        ],
    ),
    "events": Case(
        "contexts",
        [
            event(body)
            for body in (
                b' \n{"a":[1,2.5,1e999,"\\ud83d\\ude00\\ud800"],"a":1}\t',
                b"\xef\xbb\xbf1",
                b"null",
                b'"\xc3\xa9"',
            )
        ],
    ),
    "events that are none": Case(
        "contexts",
        [
            event(body)
            for body in (
                b"",
                b"{",
                b"[1,]",
                b"nul",
                b"1 2",
                b"NaN",
                b"[-Infinity]",
                b"\xff",
                b"1\x00\x00\x00",
                b'"\xed\xa0\x80"',
                b"9" * 5000,
            )
        ],
    ),
    "an event over Lambda's limit": Case("logging", [event(b'"%b"' % (b"x" * 7_000_000)), event()]),
    "events of another type": Case("encodes", [event(b'"plain"', Content_Type="application/json; charset=utf-8")]),
    "errors": Case("neutral", neutral("raises", "raises_deep", "returns_object", "missing"), environment=FUNCTION),
    "errors, unicode": Case("neutral", neutral("raises", "raises_deep"), environment=UNICODE),
    "errors in JSON": Case("neutral", neutral("raises", "returns_object"), environment=JSON_LOG),
    "errors in JSON, unicode": Case("neutral", neutral("raises"), environment={**JSON_LOG, **UNICODE}),
    "error without text": Case("neutral", neutral("raises_without_str", "logs")),
    "error that is no text": Case("neutral", neutral("raises_unencodable", "logs"), environment=UNICODE),
    "interrupt": Case("neutral", neutral("interrupts", "logs")),
    "exit 3": Case("neutral", neutral("exits", code=3)),
    "exit with text": Case("neutral", neutral("exits", code="so long")),
    "exit 0": Case("neutral", neutral("exits", code=0)),
    "_exit": Case("neutral", neutral("leaves")),
    "fork": Case("neutral", neutral("forks", "logs")),
    "descriptors": Case("neutral", neutral("closes_descriptors", "file_at_1000")),
    "large": Case("neutral", neutral("returns_bytes", "returns_large")),
    "log": Case("logging", [event(b"1"), event(b'"raise"')]),
    "log with a level": Case(
        "logging", [event(b"1"), event(b'"raise"')], environment={"AWS_LAMBDA_LOG_LEVEL": "trace"}
    ),
    "log at INFO": Case("logging", [event(b"1")], environment={"AWS_LAMBDA_LOG_LEVEL": "INFO"}),
    "log in JSON": Case(
        "logging", [event(b"1", Lambda_Runtime_Aws_Tenant_Id="t"), event(b'"raise"')], environment=JSON_LOG
    ),
    "log in JSON with a level": Case(
        "logging", [event(b"1")], environment={"AWS_LAMBDA_LOG_FORMAT": "json", "AWS_LAMBDA_LOG_LEVEL": "TRACE"}
    ),
    "bad handler name": Case("neutral", handler="nodot"),
    "no such handler": Case("neutral", handler="app.nothing"),
    "no such module": Case("neutral", handler="nothing.handler"),
    "built-in module": Case("neutral", handler="sys.exit"),
    "module with a slash": Case("imports", [event()], handler="pack/helper.handler"),
    "relative name": Case("neutral", handler=".app.handler"),
    "syntax error": Case("bad_syntax"),
    "import error": Case("import_error"),
    "error at import": Case("dies_importing"),
    "exit at import": Case("exit_at_import"),
    "error at import, JSON": Case("import_error", environment=JSON_LOG),
    "restore": Case("snapstart_hooks", [event()], environment=SNAP_START),
    "hook fails before": Case("snapstart_hooks", environment={**SNAP_START, "WHERE": "before 1"}),
    "hook exits before": Case("snapstart_hooks", environment={**SNAP_START, "WHERE": "before 2"}),
    "hook fails after": Case("snapstart_hooks", environment={**SNAP_START, "WHERE": "after 1"}),
    "hook exits after": Case("snapstart_hooks", environment={**SNAP_START, "WHERE": "after 2"}),
    "response accepted with 200": Case("neutral", neutral("logs", "logs"), replies={"response": Reply(200, b"")}),
    "response refused as too large": Case(
        "neutral", neutral("logs", "logs"), replies={"response": Reply(413, b"refused")}
    ),
    "response refused": Case("neutral", neutral("logs", "logs"), replies={"response": Reply(500, b"refused")}),
    "response not answered": Case("neutral", neutral("logs", "logs"), replies={"response": Reply(raw=b"")}),
    "error refused": Case("neutral", neutral("raises", "logs"), replies={"error": Reply(400, b"refused")}),
    "init error refused": Case("neutral", handler="app.nothing", replies={"error": Reply(403, b"refused")}),
    "next without an id": Case("neutral", [event(Lambda_Runtime_Aws_Request_Id=None)]),
    "next that is no HTTP": Case("neutral", [Reply(raw=b"nonsense\r\n\r\n")]),
    "next not answered": Case("neutral", [Reply(raw=b"")]),
    "next cut short": Case(
        "neutral", [raw(f"Lambda-Runtime-Aws-Request-Id: x\r\n{DEADLINE}\r\nContent-Length: 9", b"{}")]
    ),
    "next that is no text": Case(
        "neutral",
        [
            raw(
                f"Lambda-Runtime-Aws-Request-Id: x\r\nLambda-Runtime-Trace-Id: \xff\r\n{DEADLINE}\r\nContent-Length: 2",
                b"{}",
            )
        ],
    ),
    "next in chunks": Case(
        "contexts",
        [
            raw(
                f"lambda-runtime-aws-request-id:  x \r\nTransfer-Encoding: chunked\r\n{DEADLINE}",
                b'3\r\n"ab\r\n2;x=y\r\nc"\r\n0\r\na: b\r\n\r\n',
                keeps=True,
            )
        ],
    ),
    "next until the end": Case("contexts", [raw(f"Lambda-Runtime-Aws-Request-Id: x\r\n{DEADLINE}", b'"abc"'), event()]),
}


def outcome(client: str, case: Case, tmp_path: Path, python: str = PYTHON) -> Outcome:
    executable = interpreters.runtime(python)
    command = [executable, "-m", "awslambdaric"] if client == AWS else [executable, MAIN]
    environment = {"COLDSPAN_CHANNEL": str(tmp_path / client), **case.environment}
    with RuntimeApiServer(case.events, case.replies) as server:
        return run([*command, case.handler], server, function=FUNCTIONS / case.function, environment=environment)


def difference(case: str, tmp_path: Path, python: str) -> str:
    """The lines that only one of the two clients leads to."""
    aws, ours = (seen(outcome(client, CASES[case], tmp_path, python)) for client in (AWS, OURS))
    lines = difflib.unified_diff(aws, ours, AWS, OURS, n=0, lineterm="")
    return "\n".join(line[:1000] for line in lines)


def seen(outcome: Outcome) -> list[str]:
    """What caller, platform, X-Ray and log reader see, normalised, in lines."""
    lines = [f"exit {outcome.status}", *(f"{call.method} {call.path}" for call in outcome.calls)]
    for call in outcome.posts:
        lines += _posted(call)
    stdout, stderr = _without_the_clients_own(outcome.stdout), _without_traceback(outcome.stderr)
    return lines + _normalise(stdout).splitlines() + _normalise(stderr).splitlines()


def _posted(call: Call) -> list[str]:
    cause = json.loads(call.headers.get("lambda-runtime-function-xray-error-cause", '{"paths":[]}'))
    cause["paths"] = sorted(_normalise(path) for path in cause["paths"])
    body = _normalise(call.body.decode("latin-1"))
    headers = [f"{name}: {call.headers.get(name)}" for name in COMPARED_HEADERS]
    return [body, *headers, _normalise(json.dumps(cause))]


def _without_the_clients_own(stdout: str) -> str:
    """Without what the managed runtime says of its updates, and each client of a Runtime API that fails."""
    stdout = re.sub(r'(\[WARNING\][^\n]*|\{"timestamp": [^\n]*)LAMBDA_WARNING: Unhandled[^\n]*\n', "", stdout)
    stdout = re.sub(r"\[ERROR\] \[\d+\] LAMBDA_RUNTIME [^\n]*\n", "", stdout)
    return re.sub(r"\[ERROR\] Runtime.RuntimeApiError: [^\n]*\n", "", stdout)


def _without_traceback(stderr: str) -> str:
    """Of a process that an exception ends: its last line; nothing of one that the Runtime API ends."""
    before, _, after = stderr.partition("Traceback (most recent call last):")
    last = after.strip().rpartition("\n")[2]
    ended_by_the_api = ("RuntimeError: Failed to ", "UnicodeDecodeError: 'utf-8'", "awslambdaric.lambda_runtime_client")
    return before + ("" if last.startswith(ended_by_the_api) else last)


def _normalise(text: str) -> str:
    """Parsers word their errors differently, the versions of simplejson among themselves too."""
    text = re.sub(r"(Unable to unmarshal input: )(?!'utf-8'|Exceeds)[^\n\r\"\\]*(\\\"[^\n\r\"\\]*)*", r"\1WORDS", text)
    text = re.sub(r"(maximum recursion depth exceeded)[^\n\r\"]*", r"\1", text)
    text = re.sub(r'(\{"label": "raises_deep", [^}]*\}, )+', "MANY ", text)
    text = re.sub(r"Previous line repeated \d+", "Previous line repeated MANY", text)
    text = re.sub(r"0x[0-9a-f]+", "0xADDRESS", text)
    text = re.sub(r"/[\w/.-]*/(awslambdaric|coldspan_wrapper/runtime)/\w+\.py", "CLIENT", text)
    text = re.sub(r'"  File \\"CLIENT\\", line \d+, in \w+\\n[^"]*\\n"(, )?', "", text)
    text = re.sub(r'\r\xa0\xa0File "CLIENT", line \d+, in \w+\r[^\r\n]*', "", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME", text)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_same(tmp_path: Path, case: str) -> None:
    assert not difference(case, tmp_path, PYTHON)


@pytest.mark.parametrize("python", [version for version in interpreters.VERSIONS if version != PYTHON])
@pytest.mark.parametrize("case", ["values", "context, all of it", "errors", "log in JSON", "syntax error", "exit 3"])
def test_it_is_the_same_on_every_python(tmp_path: Path, case: str, python: str) -> None:
    assert not difference(case, tmp_path, python)
