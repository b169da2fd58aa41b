"""The Invoke API, plain and with a response stream, for boto3, the AWS CLI and whatever else calls Lambda functions."""

import base64
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from urllib.parse import unquote

from coldspan_lab import eventstream
from coldspan_lab.api import JSON
from coldspan_lab.http import BodyTooLarge, BodyTruncated, Pieces, Request, Response
from coldspan_lab.invocation import Call
from coldspan_lab.model import Answer, Function
from coldspan_lab.response_stream import StreamEnd

PATH = re.compile(r"/2015-03-31/functions/(?P<name>.+)/invocations")
STREAM_PATH = re.compile(r"/2021-11-15/functions/(?P<name>.+)/response-streaming-invocations")
ARN = re.compile(
    r"(?:arn:aws[\w-]*:lambda:[\w-]+:)?(?:\d{12}:)?(?:function:)?(?P<name>[\w-]+)(?::(?P<qualifier>[\w$-]+))?"
)
"""A function's name, partial or full ARN."""
MAX_SYNCHRONOUS = 6 * 1_048_576
MAX_ASYNCHRONOUS = 1_048_576
MAX_CLIENT_CONTEXT = 3583
REQUEST_ID = "X-Amzn-Requestid"


class InvokeApi:
    """`invoke` waits for the answer, `enqueue` returns at once with the request id."""

    def __init__(
        self, function: Function, invoke: Callable[[Call], Awaitable[Answer]], enqueue: Callable[[Call], str]
    ) -> None:
        self._function = function
        self._invoke = invoke
        self._enqueue = enqueue

    async def handle(self, request: Request) -> Response:
        streaming = STREAM_PATH.fullmatch(request.path)
        matched = streaming or PATH.fullmatch(request.path)
        if matched is None:
            return Response(404)
        if request.method != "POST":
            return Response(405)
        kind = request.headers.get("x-amz-invocation-type", "RequestResponse")
        kinds = ["RequestResponse", "DryRun"] if streaming else ["RequestResponse", "Event", "DryRun"]
        if kind not in kinds:
            return _error(400, "InvalidParameterValueException", f"{kind}: expected one of {', '.join(kinds)}")
        named = ARN.fullmatch(unquote(matched["name"]))
        qualifiers = (None, self._function.version)
        if named is None or named["name"] != self._function.name or named["qualifier"] not in qualifiers:
            arn = self._function.arn.rpartition(":")[0]
            return _error(404, "ResourceNotFoundException", f"Function not found: {arn}:{matched['name']}")
        return await self._call(request, kind, streaming=streaming is not None)

    async def _call(self, request: Request, kind: str, *, streaming: bool) -> Response:
        limit = MAX_ASYNCHRONOUS if kind == "Event" else MAX_SYNCHRONOUS
        try:
            payload = await request.body(limit) or b"{}"  # the runtime could not parse an empty event
            json.loads(payload)
            client_context = _client_context(request.headers.get("x-amz-client-context"))
        except BodyTooLarge:
            message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
            return _error(413, "RequestTooLargeException", message)
        except BodyTruncated:
            return _error(400, "InvalidRequestContentException", "Could not read the request's body: unexpected end")
        except ValueError as error:
            message = f"Could not parse request body into json: {error}"
            return _error(400, "InvalidRequestContentException", message)
        call = Call(
            payload,
            client_context,
            trace_header=request.headers.get("x-amzn-trace-id"),
            tenant_id=request.headers.get("x-amz-tenant-id"),
            wants_log_tail=request.headers.get("x-amz-log-type") == "Tail",
            wants_stream=streaming,
        )
        if kind == "DryRun":
            return Response(204)
        if kind == "Event":
            return Response(202, b"", ((REQUEST_ID, self._enqueue(call)),))
        return _reply(await self._invoke(call), call, self._function.version)


def _reply(answer: Answer, call: Call, version: str) -> Response:
    headers = [(REQUEST_ID, answer.request_id)]
    if answer.exception is not None:
        return Response(answer.status, answer.payload, (JSON, *headers, ("x-amzn-errortype", answer.exception)))
    headers.append(("X-Amz-Executed-Version", version))
    if answer.trace_header is not None:
        headers.append(("X-Amzn-Trace-Id", answer.trace_header.partition(";")[0]))
    if call.wants_stream:
        content_type = ("Content-Type", eventstream.CONTENT_TYPE)
        return Response(answer.status, _events(answer, with_log=call.wants_log_tail), (content_type, *headers))
    if answer.function_error is not None:
        headers.append(("X-Amz-Function-Error", answer.function_error))
    if call.wants_log_tail:
        headers.append(("X-Amz-Log-Result", base64.b64encode(answer.log_tail).decode()))
    return Response(answer.status, answer.payload, (JSON, *headers))


async def _events(answer: Answer, *, with_log: bool) -> Pieces:
    """The messages of the event stream; a response that the runtime did not stream is one chunk."""
    if answer.stream is not None:
        async with aclosing(answer.stream.pieces()) as pieces:
            async for piece in pieces:
                yield eventstream.payload_chunk(piece)
        end = answer.stream.outcome
    elif answer.function_error is None:
        yield eventstream.payload_chunk(answer.payload)
        end = StreamEnd(log_tail=answer.log_tail)
    else:
        end = StreamEnd(answer.function_error, answer.payload, answer.log_tail)
    yield eventstream.invoke_complete(end, with_log=with_log)


def _client_context(header: str | None) -> str | None:
    """Plain JSON from base64. Raises ValueError."""
    if header is None:
        return None
    if len(header) > MAX_CLIENT_CONTEXT:
        raise ValueError(f"client context: expected at most {MAX_CLIENT_CONTEXT} bytes")
    return base64.b64decode(header, validate=True).decode()


def _error(status: int, error_type: str, message: str) -> Response:
    body = json.dumps({"Type": "User", "Message": message}).encode()
    return Response(status, body, (JSON, ("x-amzn-errortype", error_type)))
