"""HTTP as a function has it behind its URL: the request as an event in payload format 2.0, and the response from what
it returns or from the prelude of its stream (Lambda developer guide, "Invoking Lambda function URLs"). Pure.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from coldspan_lab import clock
from coldspan_lab.http import LOOPBACK, Request

PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"
"""Content type of a stream that begins with a prelude."""
PRELUDE_END = bytes(8)
MAX_PRELUDE = 16_384
"""Bytes."""
URL_ID = "coldspanlab"
TEXT = re.compile(r"text/.*|application/(.+\+)?(json|xml)|application/javascript")
"""Content types whose bodies are text in the event; others are base64."""
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\x20-\x7e\x80-\xff\t]*")
OF_THE_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
"""Headers that are not the function's to set."""


class ResponseInvalid(Exception):
    """What the function says is no HTTP response. The message is for its author."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of a response."""

    status: int
    headers: tuple[tuple[str, str], ...]


def event(request: Request, body: bytes, *, region: str, request_id: str, trace_header: str, unix_ns: int) -> bytes:
    """The function's event, JSON."""
    domain = f"{URL_ID}.lambda-url.{region}.on.aws"
    headers = {
        "x-amzn-trace-id": trace_header.partition(";")[0],
        **{name: value for name, value in request.headers.items() if name != "cookie"},
        "x-forwarded-for": LOOPBACK,
        "x-forwarded-port": request.headers.get("host", "").partition(":")[2],
        "x-forwarded-proto": "http",
    }
    context = {
        "accountId": "anonymous",
        "apiId": URL_ID,
        "domainName": domain,
        "domainPrefix": URL_ID,
        "http": {
            "method": request.method,
            "path": request.raw_path,
            "protocol": "HTTP/1.1",
            "sourceIp": LOOPBACK,
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": clock.common_log(unix_ns),
        "timeEpoch": unix_ns // 1_000_000,
    }
    whole: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.raw_path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
    }
    if "cookie" in request.headers:
        whole["cookies"] = request.headers["cookie"].split("; ")
    if request.query:
        whole["queryStringParameters"] = _joined(parse_qsl(request.query, keep_blank_values=True))
    return json.dumps(whole | _body(body, request.headers.get("content-type", ""))).encode()


def response(payload: bytes) -> tuple[Head, bytes]:
    """From what the function returned, JSON: an object with a statusCode is a response, anything else the body of one.
    Raises ResponseInvalid."""
    try:
        value: Any = json.loads(payload)
    except (ValueError, RecursionError):
        raise ResponseInvalid("the function did not return JSON") from None
    if not isinstance(value, dict) or "statusCode" not in value:
        return Head(200, (("Content-Type", "application/json"),)), payload
    body = value.get("body", "")
    if not isinstance(body, str):
        raise ResponseInvalid(f"body: expected a string, and there is {_shown(body)}")
    content = _decoded(body) if value.get("isBase64Encoded") else body.encode("utf-8", "replace")
    return head(value, "application/json"), content


def prelude(data: bytes) -> "tuple[Head, bytes] | None":
    """The head that a stream begins with, and what of its body is there; None while the prelude is not complete.
    Raises ResponseInvalid."""
    text, end, rest = data.partition(PRELUDE_END)
    if len(text) > MAX_PRELUDE:
        raise ResponseInvalid(f"the prelude of the stream: expected 8 NUL bytes within {MAX_PRELUDE} bytes")
    if not end:
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ResponseInvalid("the prelude of the stream: expected JSON") from None
    if not isinstance(value, dict):
        raise ResponseInvalid(f"the prelude of the stream: expected an object, and there is {_shown(value)}")
    return head({"statusCode": 200} | value, "application/octet-stream"), rest


def head(value: dict[str, Any], content_type: str) -> Head:
    """From statusCode, headers and cookies; `content_type` where they name none. Raises ResponseInvalid."""
    status = value["statusCode"]
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ResponseInvalid(f"statusCode: expected 200 to 599, and there is {_shown(value['statusCode'])}")
    headers, cookies = value.get("headers") or {}, value.get("cookies") or []
    if not isinstance(headers, dict):
        raise ResponseInvalid(f"headers: expected an object, and there is {_shown(headers)}")
    if not isinstance(cookies, list):
        raise ResponseInvalid(f"cookies: expected a list, and there is {_shown(cookies)}")
    pairs = [_header(name, each) for name, each in headers.items() if name.lower() not in OF_THE_CONNECTION]
    pairs += [_header("Set-Cookie", each) for each in cookies]
    if "content-type" not in {name.lower() for name, _ in pairs}:
        pairs.append(("Content-Type", content_type))
    return Head(status, tuple(pairs))


def _header(name: str, value: object) -> tuple[str, str]:
    text = value if isinstance(value, str) else json.dumps(value)
    if not TOKEN.fullmatch(name) or not VALUE.fullmatch(text):
        raise ResponseInvalid(f"header {_shown(name)}: {_shown(text)} cannot be sent")
    return name, text.strip()


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    if not body:
        return {"isBase64Encoded": False}
    if TEXT.fullmatch(content_type.partition(";")[0].strip().lower()):
        try:
            return {"body": body.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            pass
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise ResponseInvalid("body: expected base64, since isBase64Encoded is true") from None


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _shown(value: object) -> str:
    return repr(value)[:100]
