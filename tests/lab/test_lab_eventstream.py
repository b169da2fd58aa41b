"""The lab's event stream messages, read by botocore."""

import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from coldspan_lab import eventstream
from coldspan_lab.response_stream import StreamEnd

names = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=255)
values = st.text(max_size=8000)
headers = st.dictionaries(names, values, max_size=5)


@given(st.lists(st.tuples(headers, st.binary(max_size=2000)), max_size=4), st.integers(1, 500))
def test_botocore_reads_what_was_written_however_it_is_cut(
    messages: list[tuple[dict[str, str], bytes]], size: int
) -> None:
    data = b"".join(eventstream.message(*each) for each in messages)
    buffer = EventStreamBuffer()
    read: list[object] = []
    for start in range(0, len(data), size):
        buffer.add_data(data[start : start + size])
        read += [(each.headers, each.payload) for each in buffer]
    assert read == messages


def test_a_chunk_has_these_bytes() -> None:
    written = eventstream.payload_chunk(b"hi")
    body = bytes.fromhex("0000006c0000005a") + zlib.crc32(bytes.fromhex("0000006c0000005a")).to_bytes(4, "big")
    body += b"\x0b:event-type\x07\x00\x0cPayloadChunk\x0d:content-type\x07\x00\x18application/octet-stream"
    body += b"\x0d:message-type\x07\x00\x05eventhi"
    assert written == body + zlib.crc32(body).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("end", "with_log", "payload"),
    [
        (StreamEnd(), False, b"{}"),
        (StreamEnd(log_tail=b"END\n"), True, b'{"LogResult": "RU5ECg=="}'),
        (StreamEnd("E", b'{"a":1}'), False, b'{"ErrorCode": "E", "ErrorDetails": "{\\"a\\":1}"}'),
    ],
)
def test_the_last_message_says_how_it_ended(end: StreamEnd, with_log: bool, payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(eventstream.invoke_complete(end, with_log=with_log))
    (message,) = buffer
    assert message.payload == payload
    assert dict(message.headers)[":event-type"] == "InvokeComplete"  # type: ignore[call-overload]


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(OverflowError):
        eventstream.message({"n" * 256: ""}, b"")
