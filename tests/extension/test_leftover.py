"""What a killed init leaves: a file that is whole at every moment, and is believed only if it is one of ours."""

from pathlib import Path

import pytest

from coldspan_extension import inits, leftover
from coldspan_extension.ids import Ids
from coldspan_extension.invocation import Environment
from coldspan_extension.platform import PlatformEvent
from coldspan_testing.story import MONOTONIC_T0, MS, PID, T0, told
from coldspan_wrapper import records
from coldspan_wrapper.records import encode, frame


def record(at_ms: float, kind: int, *values: records.Value) -> bytes:
    data, _ = frame(PID, iter(encode(kind, 0, MONOTONIC_T0 + round(at_ms * MS), *values)))
    return data


HELLO = record(12, records.HELLO, T0 + 12 * MS, 6 * MS, *["text"] * (len(records.FIELDS[records.HELLO]) - 2))
CLIENT = record(13, records.CLIENT, "awslambdaric", "4.2.2", "")
LOAD_BEGIN = record(40, records.LOAD_BEGIN)


def began() -> Environment:
    environment = Environment("on-demand")
    environment.began_ns, environment.registered_ns, environment.next_asked_ns = T0 + MS, T0 + 4 * MS, T0 + 20 * MS
    return environment


def trace_of(
    left: bytes, events: list[PlatformEvent], until_ms: float, init_type: str = "on-demand"
) -> list[tuple[str, str, float, float]]:
    environment = leftover.environment_of(left, events, init_type, T0 + round(until_ms * MS))
    assert environment is not None
    spans = inits.own_trace(environment, Ids("", 0), proactive=False)
    assert {span.attributes["error.type"] for span in spans if span.error} == {"timeout"}
    return told(spans)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "channel.init")


def test_what_was_read_before_and_after_the_file_began_is_in_it(path: str) -> None:
    file = leftover.Leftover(path, began(), [HELLO, CLIENT])
    file.add(LOAD_BEGIN)
    left = leftover.take(path)
    assert not Path(path).exists()
    assert trace_of(left, [], 60_000) == [
        ("init", "", 1, 10_001),
        ("extension init", "init", 1, 20),
        ("runtime boot", "init", 6, 12),
        ("load handler", "init", 40, 10_001),
    ]


def test_the_platforms_word_on_a_killed_init_is_taken_and_that_on_the_next_one_is_not(path: str) -> None:
    leftover.Leftover(path, began(), [HELLO, CLIENT, LOAD_BEGIN])
    events = [
        PlatformEvent("platform.initStart", T0, {"phase": "init"}),
        PlatformEvent("platform.initReport", T0 + 9_999 * MS, {"status": "timeout"}),
        PlatformEvent("platform.initStart", T0 + 59_999 * MS, {"phase": "invoke"}),
    ]
    assert trace_of(leftover.take(path), events, 60_000)[0] == ("init", "", 0, 9_999)


def test_an_init_that_was_killed_before_its_runtime_client_was_there_ran_out_of_time_too(path: str) -> None:
    leftover.Leftover(path, began(), [HELLO])
    assert [name for name, *_ in trace_of(leftover.take(path), [], 60_000)] == [
        "init",
        "extension init",
        "runtime boot",
    ]


def test_an_init_ahead_of_requests_had_more_time(path: str) -> None:
    leftover.Leftover(path, began(), [HELLO, CLIENT, LOAD_BEGIN])
    left = leftover.take(path)
    assert trace_of(left, [], 500_000, "provisioned-concurrency")[0] == ("init", "", 1, 130_001)


def test_a_record_that_was_cut_by_the_kill_costs_that_record(path: str) -> None:
    leftover.Leftover(path, began(), [HELLO, CLIENT, LOAD_BEGIN[:9]])
    assert [name for name, *_ in trace_of(leftover.take(path), [], 60_000)] == [
        "init",
        "extension init",
        "runtime boot",
    ]


def test_an_init_that_ended_leaves_no_file(path: str) -> None:
    file = leftover.Leftover(path, began(), [HELLO])
    file.remove()
    assert not Path(path).exists()
    file.add(CLIENT)
    assert leftover.take(path) == b""


@pytest.mark.parametrize("left", [b"", b"coldspan init 1\n", b"somebody else's file, long enough for a head of ours"])
def test_a_file_that_is_none_of_ours_is_no_init(left: bytes) -> None:
    assert leftover.environment_of(left, [], "on-demand", T0) is None


def test_a_path_that_cannot_be_written_costs_the_file(tmp_path: Path) -> None:
    file = leftover.Leftover(str(tmp_path / "no" / "such" / "folder"), began(), [HELLO])
    file.add(CLIENT)
    file.remove()
    assert not (tmp_path / "no").exists()


def test_a_link_is_neither_read_nor_written_through(tmp_path: Path, path: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"precious")
    Path(path).symlink_to(secret)
    leftover.Leftover(path, began(), [HELLO])
    assert leftover.take(path) == b""
    assert secret.read_bytes() == b"precious"


def test_a_file_grows_to_its_limit_and_no_further(path: str) -> None:
    file = leftover.Leftover(path, began(), [])
    for _ in range(20):
        file.add(bytes(100_000))
    assert Path(path).stat().st_size <= leftover.MAX_SIZE
