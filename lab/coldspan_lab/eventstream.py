"""Messages of application/vnd.amazon.eventstream (Smithy specification, "Amazon Event Stream"), as
InvokeWithResponseStream answers with them.

A message, all integers big-endian: u32 length of all, u32 length of the headers, u32 CRC-32 of these 8 bytes, the
headers, the payload, u32 CRC-32 of everything before. A header: u8 length of the name, the name, u8 7 (a string),
u16 length of the value, the value.
"""

import base64
import json
import zlib
from collections.abc import Mapping

from coldspan_lab.response_stream import StreamEnd

CONTENT_TYPE = "application/vnd.amazon.eventstream"
STRING = 7
OVERHEAD = 16
"""Bytes of a message without headers and payload."""


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Names are of 1 to 255 bytes, values of 32,767 at most. Raises OverflowError for what does not fit its length."""
    fields = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = _u32(OVERHEAD + len(fields) + len(payload)) + _u32(len(fields))
    whole = lengths + _u32(zlib.crc32(lengths)) + fields + payload
    return whole + _u32(zlib.crc32(whole))


def payload_chunk(piece: bytes) -> bytes:
    return message(_event("PayloadChunk", "application/octet-stream"), piece)


def invoke_complete(end: StreamEnd, *, with_log: bool) -> bytes:
    """The last message."""
    detail: dict[str, str] = {}
    if end.error_type is not None:
        detail = {"ErrorCode": end.error_type, "ErrorDetails": end.error.decode("utf-8", "replace")}
    if with_log:
        detail["LogResult"] = base64.b64encode(end.log_tail).decode()
    return message(_event("InvokeComplete", "application/json"), json.dumps(detail).encode())


def _event(kind: str, content_type: str) -> dict[str, str]:
    return {":event-type": kind, ":content-type": content_type, ":message-type": "event"}


def _header(name: bytes, value: bytes) -> bytes:
    return len(name).to_bytes(1, "big") + name + bytes([STRING]) + len(value).to_bytes(2, "big") + value


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")
