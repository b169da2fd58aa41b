"""What a function may say to make an HTTP response."""

import json
from typing import Any

import pytest

from coldspan_lab.http_payload import MAX_PRELUDE, Head, ResponseInvalid, prelude, response

JSON = ("Content-Type", "application/json")


def said(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("payload", "status", "headers", "body"),
    [
        (b'"hi"', 200, [JSON], b'"hi"'),
        (b"null", 200, [JSON], b"null"),
        (b'{"a" :1}', 200, [JSON], b'{"a" :1}'),
        (said({"statusCode": 204}), 204, [JSON], b""),
        (said({"statusCode": "404", "body": "é"}), 404, [JSON], "é".encode()),
        (said({"statusCode": 200, "headers": None, "cookies": None, "body": ""}), 200, [JSON], b""),
        (
            said({"statusCode": 299, "headers": {"content-type": " text/html ", "N": 1, "Connection": "close"}}),
            299,
            [("content-type", "text/html"), ("N", "1")],
            b"",
        ),
        (b'{"statusCode": 200, "body": "\\ud800"}', 200, [JSON], b"?"),
        (said({"statusCode": 200, "cookies": ["a=b"]}), 200, [("Set-Cookie", "a=b"), JSON], b""),
    ],
)
def test_a_returned_value_makes_this_response(
    payload: bytes, status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    assert response(payload) == (Head(status, tuple(headers)), body)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"statusCode": 99}, "statusCode: expected 200 to 599, and there is 99"),
        ({"statusCode": "ok"}, "statusCode: expected 200 to 599, and there is 'ok'"),
        ({"statusCode": None}, "statusCode: expected 200 to 599, and there is None"),
        ({"statusCode": 200, "headers": ["a"]}, "headers: expected an object"),
        ({"statusCode": 200, "cookies": "a=b"}, "cookies: expected a list"),
        ({"statusCode": 200, "headers": {"A B": "c"}}, "header 'A B': 'c' cannot be sent"),
        ({"statusCode": 200, "headers": {"A": "b\r\nC: d"}}, "header 'A': 'b\\r\\nC: d' cannot be sent"),
        ({"statusCode": 200, "headers": {"A": "€"}}, "header 'A': '€' cannot be sent"),
        ({"statusCode": 200, "body": "?", "isBase64Encoded": True}, "body: expected base64"),
        ({"statusCode": 200, "body": "é", "isBase64Encoded": True}, "body: expected base64"),
        ({"statusCode": 200, "body": 1}, "body: expected a string, and there is 1"),
    ],
)
def test_what_is_no_response_is_named(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ResponseInvalid) as raised:
        response(said(value))
    assert str(raised.value).startswith(message)


def test_what_is_not_json_is_no_response() -> None:
    with pytest.raises(ResponseInvalid, match="the function did not return JSON"):
        response(b"{}\0\0\0\0\0\0\0\0text")
    with pytest.raises(ResponseInvalid, match="the function did not return JSON"):
        response(b"[" * 100_000)


@pytest.mark.parametrize(
    ("data", "begun"),
    [
        (b"{}" + bytes(7), None),
        (b"{}" + bytes(8), (Head(200, (("Content-Type", "application/octet-stream"),)), b"")),
        (b"{}" + bytes(9) + b"x", (Head(200, (("Content-Type", "application/octet-stream"),)), b"\0x")),
        (
            b" " * (MAX_PRELUDE - 2) + b"{}" + bytes(8),
            (Head(200, (("Content-Type", "application/octet-stream"),)), b""),
        ),
    ],
)
def test_a_prelude_ends_with_eight_nul_bytes(data: bytes, begun: object) -> None:
    assert prelude(data) == begun


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b" " * (MAX_PRELUDE + 1), "expected 8 NUL bytes within 16384 bytes"),
        (b"{" + bytes(8), "expected JSON"),
        (b"[]" + bytes(8), r"expected an object, and there is \[\]"),
        (b'{"statusCode": 1}' + bytes(8), "statusCode: expected 200 to 599, and there is 1"),
    ],
)
def test_a_prelude_that_is_none_is_named(data: bytes, message: str) -> None:
    with pytest.raises(ResponseInvalid, match=message):
        prelude(data)
