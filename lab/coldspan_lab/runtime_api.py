"""The Runtime API, 2018-06-01: next, response, error, init/error and the restore calls of one domain's runtime."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing

from coldspan_lab import clock
from coldspan_lab.api import JSON, Refused, Routes, accepted, error
from coldspan_lab.domain import Domain
from coldspan_lab.faults import Refusal
from coldspan_lab.http import BodyTooLarge, BodyTruncated, Request, Response
from coldspan_lab.invocation import UNHANDLED, Invocation, error_body, runtime_headers
from coldspan_lab.model import Moment
from coldspan_lab.states import NotAllowed, RuntimeAct, RuntimeState

MAX_PAYLOAD = 6 * 1_048_576 + 100
"""Bytes of a buffered response."""
MAX_STREAM = 200 * 1_048_576
"""Bytes of a response that is streamed to its caller."""
RUNTIME = "/2018-06-01/runtime"
METADATA = "/2026-01-15/metadata/execution-environment"
RESPONSE_MODE = "lambda-runtime-function-response-mode"
ERROR_TYPE = "lambda-runtime-function-error-type"
ERROR_BODY = "lambda-runtime-function-error-body"
ERROR_TYPE_KEPT = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")


def kept_error_type(header: str) -> str:
    """The error type that the platform goes on with: what is not Category.Reason becomes Unknown."""
    if ERROR_TYPE_KEPT.fullmatch(header):
        return header
    return "Function.Unknown" if header.startswith("Function.") else "Runtime.Unknown"


class RuntimeApi:
    """`mark` is told of the moments of an invocation, `refuses` asked whether to refuse a response without cause."""

    def __init__(
        self,
        domain: Domain,
        mark: Callable[[Moment, str | None], None],
        metadata_token: str,
        *,
        refuses: Callable[[Refusal], bool],
        restores: bool,
    ) -> None:
        """`restores`: the function has SnapStart, without which there are no restore calls."""
        self._domain = domain
        self._runtime = domain.runtime
        self._mark = mark
        self._authorization = f"Bearer {metadata_token}"
        self._refuses = refuses
        self.routes: Routes = {
            ("GET", f"{RUNTIME}/invocation/next"): self._next,
            ("POST", f"{RUNTIME}/init/error"): self._init_error,
            ("GET", "/2018-06-01/ping"): self._ping,
            ("GET", METADATA): self._metadata,
        }
        if restores:
            self.routes = {
                **self.routes,
                ("GET", f"{RUNTIME}/restore/next"): self._restore_next,
                ("POST", f"{RUNTIME}/restore/error"): self._restore_error,
            }

    async def invocation_call(self, request: Request, request_id: str, call: str) -> Response:
        """POST invocation/{request_id}/{call}."""
        invocation = self._runtime.invocation
        if invocation is None or invocation.request_id != request_id:
            return error(400, "InvalidRequestID", "Invalid request ID")
        return await (self._response if call == "response" else self._error)(request, invocation)

    async def _next(self, request: Request) -> Response:
        first = self._runtime.state in (RuntimeState.STARTED, RuntimeState.RESTORING)
        self._act(RuntimeAct.NEXT)
        if first:
            self._mark(Moment.RUNTIME_FIRST_NEXT, None)
        elif self._runtime.state is RuntimeState.READY and self._runtime.invocation is not None:
            self._runtime.invocation.runtime_ready_ns = request.began_ns
        self._domain.changed()
        await self._runtime.released
        invocation = self._runtime.invocation
        assert invocation is not None
        return Response(
            200,
            invocation.call.payload,
            runtime_headers(invocation),
            lambda: self._mark(Moment.NEXT_REPLIED, invocation.request_id),
        )

    async def _response(self, request: Request, invocation: Invocation) -> Response:
        if self._refuses(Refusal.INTERNAL_ERROR):
            return error(500, "InternalServerError", "Internal Server Error")
        self._act(RuntimeAct.RESPONSE)
        mode = request.headers.get(RESPONSE_MODE) or None
        if mode not in (None, "streaming"):
            # The state stays as it is: the runtime is stuck until the function times out.
            invocation.respond(error_body("Runtime.InvalidResponseModeHeader", ""), UNHANDLED)
            return error(400, "InvalidFunctionResponseMode", "Invalid function response mode")
        streams = mode is not None and invocation.call.wants_stream
        limit = MAX_STREAM if streams else MAX_PAYLOAD
        too_large = self._refuses(Refusal.TOO_LARGE)
        try:
            return await (self._stream if streams else self._collect)(request, invocation, 0 if too_large else limit)
        except BodyTooLarge:
            message = f"Response payload size exceeded maximum allowed payload size ({limit} bytes)."
            self._refuse_response(invocation, "Function.ResponseSizeTooLarge", message)
            refusal = f"Exceeded maximum allowed payload size ({limit} bytes)."
            return error(413, "RequestEntityTooLarge", refusal)
        except BodyTruncated:
            self._refuse_response(invocation, "Runtime.TruncatedResponse", "")
            return error(400, "TruncatedHTTPRequest", "HTTP request detected as truncated")

    async def _collect(self, request: Request, invocation: Invocation, limit: int) -> Response:
        """Also what is streamed, where the caller waits for the whole. Raises BodyTooLarge, BodyTruncated."""
        payload = await request.body(limit)
        self._received(request, invocation, len(payload))
        if (failure := trailing_error(request.trailers)) is not None:
            invocation.respond(failure[1], UNHANDLED)
        else:
            invocation.respond(payload, None)
        return self._sent(invocation)

    async def _stream(self, request: Request, invocation: Invocation, limit: int) -> Response:
        """Raises BodyTooLarge, BodyTruncated."""
        stream = invocation.open_stream(request.headers.get("content-type", ""))
        size = 0
        async with aclosing(request.pieces()) as pieces:
            async for piece in pieces:
                if not size:
                    self._mark(Moment.RESPONSE_BEGUN, invocation.request_id)
                size += len(piece)
                if size > limit:
                    raise BodyTooLarge
                await stream.write(piece)
        self._received(request, invocation, size)
        invocation.end_stream(*(trailing_error(request.trailers) or ()))
        return self._sent(invocation)

    async def _error(self, request: Request, invocation: Invocation) -> Response:
        self._act(RuntimeAct.ERROR)
        body = await _error_body(request)
        self._mark(Moment.RESPONSE_RECEIVED, invocation.request_id)
        self._domain.read_output()
        invocation.respond(body, UNHANDLED)
        return self._sent(invocation)

    def _received(self, request: Request, invocation: Invocation, size: int) -> None:
        invocation.response_began_ns = request.began_ns
        invocation.response_read_ns = clock.now_ns()
        invocation.produced_bytes = size
        self._mark(Moment.RESPONSE_RECEIVED, invocation.request_id)
        self._domain.read_output()

    def _refuse_response(self, invocation: Invocation, error_type: str, message: str) -> None:
        self._mark(Moment.RESPONSE_RECEIVED, invocation.request_id)
        self._domain.read_output()
        invocation.fail_as_it_is(error_type, message)
        self._sent(invocation)

    def _sent(self, invocation: Invocation) -> Response:
        """The caller had its answer before the runtime gets its own."""
        self._act(RuntimeAct.SENT)
        invocation.response_sent_ns = clock.now_ns()
        self._domain.changed()
        return accepted(lambda: self._mark(Moment.RESPONSE_ACCEPTED, invocation.request_id))

    async def _restore_next(self, request: Request) -> Response:
        # As the emulator's core has it, the error message of a refused call names Ready as its aim.
        self._act(RuntimeAct.RESTORE_NEXT, aim=RuntimeState.READY)
        self._domain.changed()
        await self._runtime.restored
        return Response(200)

    async def _restore_error(self, request: Request) -> Response:
        self._act(RuntimeAct.RESTORE_ERROR)
        error_type = kept_error_type(request.headers.get(ERROR_TYPE, ""))
        self._runtime.restore_error = (error_type, await _error_body(request))
        self._domain.changed()
        return accepted()

    async def _init_error(self, request: Request) -> Response:
        if self._runtime.state is RuntimeState.RESTORING:  # runtime clients older than restore/error post it here
            return await self._restore_error(request)
        self._act(RuntimeAct.INIT_ERROR)
        error_type = kept_error_type(request.headers.get(ERROR_TYPE, ""))
        self._runtime.init_error = (error_type, await _error_body(request))
        return accepted()

    async def _ping(self, request: Request) -> Response:
        return Response(200, b"pong", (("Content-Type", "text/plain"),))

    async def _metadata(self, request: Request) -> Response:
        if request.headers.get("authorization") != self._authorization:
            return Response(401)
        return Response(200, json.dumps({"AvailabilityZoneID": "use1-az1"}).encode(), (JSON,))

    def _act(self, act: RuntimeAct, aim: RuntimeState | None = None) -> None:
        """`aim`: the state that a refusal names, if not the act's. Raises Refused."""
        try:
            self._runtime.act(act)
        except NotAllowed as not_allowed:
            state = self._runtime.state.value
            asked = (aim or act).value
            message = f"State transition from {state} to {asked} failed for runtime. Error: {not_allowed}"
            raise Refused(403, "InvalidStateTransition", message) from None


async def _error_body(request: Request) -> bytes:
    """An error is taken in whatever its body is worth."""
    try:
        return await request.body(MAX_PAYLOAD)
    except (BodyTooLarge, BodyTruncated):
        return b""


def trailing_error(trailers: Mapping[str, str]) -> tuple[str, bytes] | None:
    """Type and JSON of an error that came after the response had begun, if one did."""
    if ERROR_TYPE not in trailers and ERROR_BODY not in trailers:
        return None
    encoded = trailers.get(ERROR_BODY, "")
    try:
        body = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        body = encoded.encode()
    return trailers.get(ERROR_TYPE, "Runtime.Unknown"), body
