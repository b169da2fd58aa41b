"""The pipe: nothing is lost within its bounds, what is beyond is counted, user code can neither break nor get it."""

import os
import posix
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldspan_wrapper import records
from coldspan_wrapper.channel import MAX_BACKLOG, Channel
from coldspan_wrapper.records import Decoder, Record, encode


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "channel")


@pytest.fixture
def channel(path: str) -> Iterator[Channel]:
    opened = Channel(path)
    yield opened
    if opened.descriptor >= 0:
        os.close(opened.descriptor)


@pytest.fixture
def reader(path: str) -> Iterator["Reader"]:
    reader = Reader(path)
    yield reader
    os.close(reader.descriptor)


class Reader:
    """The extension's end, as far as reading goes."""

    def __init__(self, path: str) -> None:
        self.descriptor = records.open_channel(path)
        self.decoder = Decoder()

    def read(self) -> list[Record]:
        found: list[Record] = []
        while True:
            try:
                found += self.decoder.feed(os.read(self.descriptor, 65536))
            except BlockingIOError:
                return found


def mark(number: int) -> list[bytes]:
    return encode(records.RESPONSE_BEGIN, 1, number, 0, 0, "")


def test_a_thousand_records_wait_for_a_reader_that_comes_late(path: str, channel: Channel) -> None:
    for number in range(1000):
        channel.write(mark(number))
    reader = Reader(path)
    found = reader.read()
    channel.write(mark(1000))
    found += reader.read()
    os.close(reader.descriptor)
    assert [record.monotonic_ns for record in found] == list(range(1001))


def test_five_thousand_records_outlast_a_stopped_reader(channel: Channel, reader: Reader) -> None:
    for number in range(5000):
        channel.write(mark(number))
    found = reader.read()
    while len(found) < 5000:
        channel.write([])  # any later call passes on what waited
        more = reader.read()
        assert more, "nothing came, and something is missing"
        found += more
    assert [record.monotonic_ns for record in found] == list(range(5000))


def test_what_exceeds_the_bound_is_counted_and_the_count_arrives(channel: Channel, reader: Reader) -> None:
    written = 3 * MAX_BACKLOG // 50
    for number in range(written):
        channel.write(mark(number))
    found = reader.read()
    while True:
        channel.write([])
        more = reader.read()
        found += more
        if not more:
            break
    (told,) = [record.number("count") for record in found if record.kind == records.LOST]
    assert told > 0
    assert told + len(found) - 1 == written


def test_a_record_is_dropped_whole_with_all_its_parts(channel: Channel, reader: Reader) -> None:
    large = encode(records.ERROR, 1, 0, "load", "E", "m", "x" * 16_000, 0)
    for _ in range(60):
        channel.write(large)
    found = reader.read()
    for _ in range(40):
        channel.write([])
        found += reader.read()
    assert reader.decoder.corrupt == 0
    lost = sum(record.number("count") for record in found if record.kind == records.LOST)
    assert lost + sum(record.kind == records.ERROR for record in found) == 60


def test_no_byte_lands_in_a_file_that_got_ourdescriptor(path: str, channel: Channel, tmp_path: Path) -> None:
    channel.write(mark(1))
    ours = channel.descriptor
    victim = os.open(tmp_path / "users", os.O_RDWR | os.O_CREAT)
    os.dup2(victim, ours)  # closes ours and takes its number
    channel.write(mark(2))
    assert os.fstat(victim).st_size == 0
    os.close(victim)
    os.close(ours)


def test_a_closed_descriptor_is_replaced_when_the_pipe_is_still_there(channel: Channel, reader: Reader) -> None:
    os.close(channel.descriptor)
    channel.write(mark(5))
    assert [record.monotonic_ns for record in reader.read()] == [5]


def test_after_another_pipe_took_the_path_recording_is_over_and_counted(
    path: str, channel: Channel, reader: Reader
) -> None:
    os.close(channel.descriptor)
    os.unlink(path)
    os.mkfifo(path)
    stranger = Reader(path)
    channel.write(mark(5))
    assert stranger.read() == []
    assert channel.lost == 1
    os.close(stranger.descriptor)


def test_a_wiped_folder_does_not_part_the_two_ends(path: str, channel: Channel, reader: Reader) -> None:
    os.unlink(path)
    channel.write(mark(6))
    assert [record.monotonic_ns for record in reader.read()] == [6]


def test_a_forked_child_records_nothing(channel: Channel, reader: Reader) -> None:
    child = os.fork()
    if child == 0:
        channel.write(mark(7))
        os._exit(0)
    os.waitpid(child, 0)
    assert reader.read() == []


def test_an_executed_child_does_not_inherit_the_pipe(channel: Channel) -> None:
    assert not os.get_inheritable(channel.descriptor)


def test_the_descriptor_is_out_of_the_way_of_user_code(channel: Channel) -> None:
    assert channel.descriptor == 1000


def test_a_path_that_is_no_pipe_is_left_alone(tmp_path: Path) -> None:
    users = tmp_path / "users.txt"
    users.write_text("precious")
    channel = Channel(str(users))
    channel.write(mark(1))
    assert users.read_text() == "precious"
    assert "no named pipe" in channel.problem
    assert channel.lost == 1


def test_a_record_written_within_a_write_is_left_to_that_write(
    channel: Channel, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler or a finalizer of user code may import something while we write."""
    write = posix.write

    def interrupted(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr(posix, "write", write)
        channel.write(mark(2))
        return write(descriptor, data)

    monkeypatch.setattr(posix, "write", interrupted)
    channel.write(mark(1))
    assert [record.monotonic_ns for record in reader.read()] == [1, 2]


def test_what_user_code_makes_of_os_is_not_called(
    channel: Channel, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """eventlet's os.write waits for room where a pipe is full: without an extension, for ever."""
    with monkeypatch.context() as patched:
        for name in ("write", "fstat", "getpid"):
            patched.delattr(os, name)
        channel.write(mark(1))
    assert [record.monotonic_ns for record in reader.read()] == [1]
