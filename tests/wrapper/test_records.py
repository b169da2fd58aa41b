"""The record format: both directions invert each other, golden bytes hold it, corrupt bytes cost only themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldspan_wrapper import records
from coldspan_wrapper.records import Decoder, encode, frame

U64 = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = {
    records.INT: U64,
    records.TEXT: TEXT,
    records.PAIRS: st.lists(st.tuples(TEXT, TEXT), max_size=4),
}


@st.composite
def any_record(draw: st.DrawFn) -> tuple[int, int, int, list[object]]:
    kind = draw(st.sampled_from(sorted(records.FIELDS)))
    values = [draw(VALUES[of_type]) for _, of_type in records.FIELDS[kind]]
    return kind, draw(st.integers(0, 2**32 - 1)), draw(U64), values


def frames_of(pid: int, parts: list[bytes]) -> list[bytes]:
    made = []
    while parts:
        data, count = frame(pid, iter(parts))
        made.append(data)
        parts = parts[count:]
    return made


def test_a_recorded_capture_is_these_bytes_for_ever() -> None:
    parts = [
        *encode(records.NEXT_BEGIN, 0, 1),
        *encode(records.ERROR, 2, 0x1122334455667788, "handler", "ValueError", "é", "", 1),
        *encode(records.HANDLER_BEGIN, 3, 2, [("a", "b")]),
    ]
    data, count = frame(0x01020304, iter(parts))
    assert count == 3
    assert data.hex(" ") == (
        "c5 01 5b 00 04 03 02 01 "
        "05 00 00 00 00 00 00 00 01 00 00 00 00 00 00 00 "
        "0b 00 23 00 02 00 00 00 88 77 66 55 44 33 22 11 "
        "07 00 68 61 6e 64 6c 65 72 0a 00 56 61 6c 75 65 45 72 72 6f 72 02 00 c3 a9 00 00 01 00 00 00 00 00 00 00 "
        "07 00 08 00 03 00 00 00 02 00 00 00 00 00 00 00 01 00 01 00 61 01 00 62"
    )


@given(st.lists(any_record(), max_size=8), st.integers(1, 2**32 - 1), st.integers(1, 5000))
def test_decode_inverts_encode_whatever_pieces_the_bytes_come_in(
    made: list[tuple[int, int, int, list[object]]], pid: int, piece: int
) -> None:
    parts = [part for kind, invocation, at, values in made for part in encode(kind, invocation, at, *values)]  # type: ignore[arg-type]
    data = b"".join(frames_of(pid, parts))
    decoder = Decoder()
    found = [r for at in range(0, len(data), piece) for r in decoder.feed(data[at : at + piece])]
    assert [(r.kind, r.invocation, r.monotonic_ns, list(r.fields.values())) for r in found] == made
    assert {r.pid for r in found} <= {pid}
    assert decoder.corrupt == 0


@given(st.binary(max_size=200))
def test_foreign_bytes_never_raise_and_never_become_records(noise: bytes) -> None:
    decoder = Decoder()
    assert decoder.feed(noise) == [] or bytes((records.MAGIC, records.VERSION)) in noise


def test_a_record_longer_than_a_frame_travels_in_parts() -> None:
    stack = "x" * 10_000
    frames = frames_of(7, encode(records.ERROR, 1, 5, "load", "E", "m", stack, 0))
    assert len(frames) == 3
    assert all(len(data) <= records.MAX_FRAME for data in frames)
    (record,) = Decoder().feed(b"".join(frames))
    assert record.text("stack") == stack


def test_the_parts_of_two_processes_do_not_mix() -> None:
    ours = frames_of(1, encode(records.ERROR, 1, 5, "load", "E", "ours", "x" * 9_000, 0))
    theirs = frames_of(2, encode(records.ERROR, 1, 5, "load", "E", "theirs", "y" * 9_000, 0))
    mixed = [data for pair in zip(ours, theirs, strict=True) for data in pair]
    assert [(r.pid, r.text("message")) for r in Decoder().feed(b"".join(mixed))] == [(1, "ours"), (2, "theirs")]


def test_a_frame_of_another_version_is_skipped_and_named() -> None:
    good, _ = frame(7, iter(encode(records.NEXT_BEGIN, 0, 1)))
    decoder = Decoder()
    found = decoder.feed(bytes((records.MAGIC, 9)) + good[2:] + good)
    assert [r.kind for r in found] == [records.NEXT_BEGIN]
    assert decoder.corrupt == 1
    assert decoder.fault == "version 9, this reader knows 1"


def test_an_unreadable_record_costs_that_record_alone() -> None:
    unknown = bytes((99, 0)) + b"\0\0" + bytes(12)
    data, _ = frame(7, iter([*encode(records.LOAD_BEGIN, 0, 1), unknown, *encode(records.LOAD_END, 0, 2)]))
    decoder = Decoder()
    assert [r.kind for r in decoder.feed(data)] == [records.LOAD_BEGIN, records.LOAD_END]
    assert decoder.fault == "record kind 99, expected 1 to 18"


def test_text_that_utf8_cannot_carry_arrives_escaped() -> None:
    data, _ = frame(7, iter(encode(records.DISABLED, 0, 1, "a\ud800b")))
    assert Decoder().feed(data)[0].text("reason") == "a\\ud800b"


@pytest.mark.parametrize("values", [(), (1, 2), ("x" * 3, 1)])
def test_a_wrong_count_of_values_is_an_error_of_the_writer(values: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"lost: \d values, expected 1"):
        encode(records.LOST, 0, 0, *values)  # type: ignore[arg-type]


def test_a_capture_is_printed_a_line_each_record(tmp_path: "object", capsys: pytest.CaptureFixture[str]) -> None:
    capture = f"{tmp_path}/capture"
    with open(capture, "wb") as file:
        file.write(frame(7, iter(encode(records.LOST, 2, 3, 4)))[0])
    assert records.main([capture]) == 0
    assert capsys.readouterr().out == "<lost pid=7 invocation=2 at=3 count=4>\n"
