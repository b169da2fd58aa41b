"""Replies that Lambda's environment APIs have in common, and the calls of a domain's processes, by path."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from coldspan_lab.http import Request, Response

JSON = ("Content-Type", "application/json")
Call = Callable[[Request], Awaitable[Response]]
Routes = Mapping[tuple[str, str], Call]
"""Calls by method and path."""


class Refused(Exception):
    """A call that is answered with an error, raised to whoever routes it."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.response = error(status, error_type, message)


def json_reply(status: int, value: "dict[str, Any]", headers: tuple[tuple[str, str], ...] = ()) -> Response:
    body = json.dumps(value, separators=(",", ":")).encode() + b"\n"
    return Response(status, body, (JSON, *headers))


def error(status: int, error_type: str, message: str) -> Response:
    return json_reply(status, {"errorMessage": message, "errorType": error_type})


def accepted(written: Callable[[], None] | None = None) -> Response:
    return Response(202, b'{"status":"OK"}\n', (JSON,), written)
