"""Loads the handler, then one invocation after the other, for the life of the process."""

import os
import sys

from coldspan_wrapper.runtime import handler as handlers
from coldspan_wrapper.runtime import logs
from coldspan_wrapper.runtime.api import RuntimeApi, RuntimeApiError
from coldspan_wrapper.runtime.context import LambdaContext
from coldspan_wrapper.runtime.encoding import decode_event, encode_response, to_json
from coldspan_wrapper.runtime.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from coldspan_wrapper.recorder import Recorder
    from coldspan_wrapper.runtime.logs import Log
    from coldspan_wrapper.runtime.stream import ResponseStream


def run(name: str, address: str, recorder: "Recorder") -> "NoReturn":
    """`name` is the handler's. Ends with the exception that the function ends the process with, or with an exit."""
    log = logs.set_up(os.environ)
    api = RuntimeApi(address)
    try:
        handler = _load(name, api, recorder, log)
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            from coldspan_wrapper.runtime import snapstart

            snapstart.park(api, recorder, log)
        loop = Loop(handler, api, recorder, log)
        while True:
            loop.serve()
    except RuntimeApiError as error:
        log.error({"errorType": "Runtime.RuntimeApiError", "errorMessage": str(error), "stackTrace": []})
        sys.exit(1)


def _load(name: str, api: RuntimeApi, recorder: "Recorder", log: "Log") -> "Callable[..., Any]":
    """Exits where that fails, having said so."""
    recorder.load_began()
    try:
        handler = handlers.load(name)
        handlers.prepare(handler)
    except BaseException as error:
        recorder.load_ended(error)
        if not isinstance(error, Exception):
            raise
        failure = Error(error)
        log.error(failure.report())
        api.fail_init(to_json(failure.report()).encode(), failure.type)
        sys.exit(1)
    recorder.load_ended()
    return handler


class Loop:
    """serve() raises RuntimeApiError."""

    def __init__(self, handler: "Callable[..., Any]", api: RuntimeApi, recorder: "Recorder", log: "Log") -> None:
        self._handler = handler
        self._takes_stream = handlers.takes_stream(handler)
        self._api = api
        self._recorder = recorder
        self._log = log

    def serve(self) -> None:
        """Waits for one event and answers it."""
        self._recorder.next_began()
        body, headers = reply = self._api.next()
        self._recorder.next_ended(reply)
        logs.Current.request_id = headers["lambda-runtime-aws-request-id"]
        logs.Current.tenant_id = headers.get("lambda-runtime-aws-tenant-id") or None
        _set_trace_id(headers.get("lambda-runtime-trace-id", ""))
        self._invoke(body, headers)

    def _invoke(self, body: bytes, headers: "dict[str, str]") -> None:
        stream = self._stream(headers) if self._takes_stream else None
        try:
            context = LambdaContext(headers)
            event = decode_event(body, headers.get("content-type"))
            self._recorder.handler_began(event)
            if stream is None:
                returned = self._handler(event, context)
            else:
                returned = self._handler(event, context, response_stream=stream)
            if _is_driven(returned):
                stream = stream or self._stream(headers)
                returned = _drive(returned, stream)
            self._recorder.handler_ended()
            if stream is not None and _is_streamed(returned, stream, takes_stream=self._takes_stream):
                return self._finish(stream)
            response, content_type = encode_response(returned)
        except Exception as error:
            return self._fail(error, stream, headers)
        data = response if isinstance(response, bytes) else response.encode()
        request_id, invocation_id = _ids(headers)
        self._recorder.response_began(data)
        self._post(lambda: self._api.respond(request_id, data, content_type, invocation_id))

    def _stream(self, headers: "dict[str, str]") -> "ResponseStream":
        from coldspan_wrapper.runtime.stream import ResponseStream

        return ResponseStream(self._api, *_ids(headers), self._recorder)

    def _fail(self, error: Exception, stream: "ResponseStream | None", headers: "dict[str, str]") -> None:
        """Reports an exception: to the caller unless its response is over, to X-Ray, in the log."""
        if stream is not None and stream.problem and isinstance(error, BrokenPipeError):
            return self._finish(stream)  # the handler met what was broken before
        self._recorder.failed(error)
        request_id, invocation_id = _ids(headers)
        failure = Error(error)
        self._log.error(failure.report(request_id))
        report = to_json(failure.report(request_id))
        if stream is not None and stream.has_begun:
            return self._finish(stream, failure.type, report)
        cause = to_json(failure.xray_cause())
        self._recorder.response_began(report, error=True)
        self._post(lambda: self._api.fail(request_id, report.encode(), cause, invocation_id))

    def _post(self, post: "Callable[[], None]") -> None:
        try:
            post()
        except BaseException as error:
            self._recorder.response_ended(f"{type(error).__name__}: {error}")
            raise
        self._recorder.response_ended()

    def _finish(self, stream: "ResponseStream", error_type: str = "", report: str = "") -> None:
        if not stream.closed:
            stream.finish(error_type, report)
        if stream.problem:
            error_name, _, message = stream.problem.partition(": ")
            self._log.error({"errorType": f"Runtime.{error_name}", "errorMessage": message, "stackTrace": []})
        self._recorder.stream_ended(stream.ended_ns, stream.size, stream.problem, report)


def _ids(headers: "dict[str, str]") -> "tuple[str, str]":
    return headers["lambda-runtime-aws-request-id"], headers.get("lambda-runtime-invocation-id", "")


def _set_trace_id(header: str) -> None:
    if header:
        os.environ["_X_AMZN_TRACE_ID"] = header
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def _is_driven(returned: object) -> bool:
    """Whether it is no result yet: a coroutine, a generator, an iterator, or an asynchronous one."""
    of_type = type(returned)
    return hasattr(of_type, "__next__") or hasattr(of_type, "__await__") or hasattr(of_type, "__anext__")


def _drive(returned: object, stream: "ResponseStream") -> object:
    """The result; `stream` itself where it was iterated into that."""
    if not hasattr(type(returned), "__next__"):
        from coldspan_wrapper.runtime import aio

        returned = aio.run(returned, stream)
    if hasattr(type(returned), "__next__"):
        from coldspan_wrapper.runtime.stream import iterate

        iterate(returned, stream)
        return stream
    return returned


def _is_streamed(returned: object, stream: "ResponseStream", *, takes_stream: bool) -> bool:
    """A handler that takes a stream and leaves it alone may still return its response."""
    return stream.has_begun or returned is stream or (takes_stream and returned is None)
