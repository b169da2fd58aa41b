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


def run(name: str, address: str, recorder: "Recorder") -> "NoReturn":
    """`name` is the handler's. Ends with the exception that the function ends the process with, or with an exit."""
    log = logs.set_up(os.environ)
    api = RuntimeApi(address)
    try:
        handler = _load(name, api, recorder, log)
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            from coldspan_wrapper.runtime import snapstart

            snapstart.park(api, recorder, log)
        while True:
            _serve(handler, api, recorder, log)
    except RuntimeApiError as error:
        log.error({"errorType": "Runtime.RuntimeApiError", "errorMessage": str(error), "stackTrace": []})
        sys.exit(1)


def _serve(handler: "Callable[..., Any]", api: RuntimeApi, recorder: "Recorder", log: "Log") -> None:
    recorder.next_began()
    body, headers = reply = api.next()
    recorder.next_ended(reply)
    logs.Current.request_id = headers["lambda-runtime-aws-request-id"]
    logs.Current.tenant_id = headers.get("lambda-runtime-aws-tenant-id") or None
    _set_trace_id(headers.get("lambda-runtime-trace-id", ""))
    _invoke(handler, body, headers, api, recorder, log)


def _load(name: str, api: RuntimeApi, recorder: "Recorder", log: "Log") -> "Callable[..., Any]":
    """Exits where that fails, having said so."""
    recorder.load_began()
    try:
        handler = handlers.load(name)
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


def _set_trace_id(header: str) -> None:
    if header:
        os.environ["_X_AMZN_TRACE_ID"] = header
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)


def _invoke(
    handler: "Callable[..., Any]",
    body: bytes,
    headers: "dict[str, str]",
    api: RuntimeApi,
    recorder: "Recorder",
    log: "Log",
) -> None:
    """One invocation, from its event's bytes to the answer that was accepted."""
    request_id = headers["lambda-runtime-aws-request-id"]
    invocation_id = headers.get("lambda-runtime-invocation-id", "")
    try:
        context = LambdaContext(headers)
        event = decode_event(body, headers.get("content-type"))
        recorder.handler_began(event)
        returned = handler(event, context)
        recorder.handler_ended()
        response, content_type = encode_response(returned)
    except Exception as error:
        recorder.failed(error)
        failure = Error(error)
        log.error(failure.report(request_id))
        report, cause = to_json(failure.report(request_id)), to_json(failure.xray_cause())
        recorder.response_began(report, error=True)
        _post(recorder, lambda: api.fail(request_id, report.encode(), cause.encode(), invocation_id))
    else:
        data = response if isinstance(response, bytes) else response.encode()
        recorder.response_began(data)
        _post(recorder, lambda: api.respond(request_id, data, content_type, invocation_id))


def _post(recorder: "Recorder", post: "Callable[[], None]") -> None:
    try:
        post()
    except BaseException as error:
        recorder.response_ended(f"{type(error).__name__}: {error}")
        raise
    recorder.response_ended()
