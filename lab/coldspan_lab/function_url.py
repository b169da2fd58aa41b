"""The function's URL: HTTP at any path invokes the function, as a Lambda function URL does."""

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

from coldspan_lab import http_payload
from coldspan_lab.http import BodyBroken, BodyTooLarge, BodyTruncated, Pieces, Request, Response
from coldspan_lab.http_payload import Head, ResponseInvalid
from coldspan_lab.invocation import Call, new_trace_header
from coldspan_lab.model import Answer, Function, InvokeMode
from coldspan_lab.response_stream import ResponseStream

MAX_BODY = 6 * 1_048_576
FAILED = (502, "Internal Server Error")
OCTETS = Head(200, (("Content-Type", "application/octet-stream"),))
"""Of a stream without a prelude."""


class FunctionUrl:
    """`invoke` waits for the answer; `say` gets what is wrong with a response, for the function's author."""

    def __init__(
        self, function: Function, invoke: Callable[[Call], Awaitable[Answer]], say: Callable[[str], None]
    ) -> None:
        self._function = function
        self._invoke = invoke
        self._say = say

    async def handle(self, request: Request) -> Response:
        try:
            body = await request.body(MAX_BODY)
        except BodyTooLarge:
            return _text(413, "Request Too Long")
        except BodyTruncated:
            return _text(400, "Bad Request")
        streams = self._function.invoke_mode is InvokeMode.RESPONSE_STREAM
        trace_header = request.headers.get("x-amzn-trace-id") or new_trace_header(int(time.time()))
        call = Call(trace_header=trace_header, wants_stream=streams)
        event = http_payload.event(
            request,
            body,
            region=self._function.region,
            request_id=call.request_id,
            trace_header=trace_header,
            unix_ns=time.time_ns(),
        )
        answer = await self._invoke(replace(call, payload=event))
        if answer.exception is not None:
            return _text(answer.status, answer.exception)
        try:
            return await self._reply(answer)
        except ResponseInvalid as invalid:
            self._say(f"function URL: {invalid}")
            return _text(*FAILED)

    async def _reply(self, answer: Answer) -> Response:
        """Raises ResponseInvalid."""
        if answer.stream is not None:
            return await _streamed(answer.stream, answer)
        if answer.function_error is not None:
            return _text(*FAILED)
        if self._function.invoke_mode is InvokeMode.RESPONSE_STREAM:
            head, body = OCTETS, answer.payload  # proxy rules are for buffered answers alone
        else:
            head, body = http_payload.response(answer.payload)
        return Response(head.status, body, (*head.headers, *_ids(answer)))


async def _streamed(stream: ResponseStream, answer: Answer) -> Response:
    """Waits for the prelude, if there is to be one. Raises ResponseInvalid."""
    pieces = stream.pieces()
    try:
        if stream.content_type.partition(";")[0] == http_payload.PRELUDE_TYPE:
            begun = await _prelude(pieces)
        else:
            begun = OCTETS, b""
    except BaseException:
        await pieces.aclose()
        raise
    if begun is None:
        return _text(*FAILED)
    head, first = begun
    return Response(head.status, _rest(first, pieces, stream), (*head.headers, *_ids(answer)))


async def _prelude(pieces: Pieces) -> tuple[Head, bytes] | None:
    """The head and what came of the body with it; None where the stream ends before. Raises ResponseInvalid."""
    data = b""
    async for piece in pieces:
        data += piece
        if (begun := http_payload.prelude(data)) is not None:
            return begun
    return None


async def _rest(first: bytes, pieces: Pieces, stream: ResponseStream) -> Pieces:
    """Raises BodyBroken for a stream that ends with an error: its status is out, so this is how the client learns."""
    async with aclosing(pieces):
        if first:
            yield first
        async for piece in pieces:
            yield piece
    if stream.outcome.error_type is not None:
        raise BodyBroken(stream.outcome.error_type)


def _ids(answer: Answer) -> tuple[tuple[str, str], ...]:
    root = (answer.trace_header or "").partition(";")[0]
    return (("x-amzn-RequestId", answer.request_id), ("X-Amzn-Trace-Id", root))


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode(), (("Content-Type", "text/plain"),))
