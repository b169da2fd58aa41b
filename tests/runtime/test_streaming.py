"""Responses that are streamed, as they arrive at a Runtime API."""

import base64
import io
import json
import os
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from coldspan_testing import interpreters
from coldspan_testing.runtime_api import Call, Outcome, Reply, RuntimeApiServer, event, run
from coldspan_wrapper import records

FUNCTION = Path(__file__).parents[1] / "functions" / "streams"
MAIN = Path(__file__).parents[2] / "wrapper" / "coldspan_wrapper" / "runtime" / "__main__.py"
PYTHON = "3.12"
ERROR_TYPE, ERROR_BODY = "lambda-runtime-function-error-type", "lambda-runtime-function-error-body"
PRELUDE_ENDS = bytes(8)

Invoke = Callable[..., Outcome]


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    """invoke(handler, *events, python="3.12", replies={}, on_chunk=...)."""

    def start(
        handler: str,
        *events: object,
        python: str = PYTHON,
        replies: dict[str, Reply] | None = None,
        on_chunk: Callable[[bytes], bool] = lambda chunk: True,
    ) -> Outcome:
        replied = [event(json.dumps(each).encode(), Lambda_Runtime_Invocation_Id="attempt") for each in events]
        environment = {"COLDSPAN_CHANNEL": str(tmp_path / "pipe"), "COLDSPAN_IMPORTS": "off"}
        with RuntimeApiServer(replied, replies, on_chunk) as server:
            command = (interpreters.runtime(python), MAIN, f"app.{handler}")
            return run(command, server, function=FUNCTION, environment=environment)

    return start


def only(outcome: Outcome) -> Call:
    assert outcome.posts, (outcome.stdout, outcome.stderr)
    (post,) = outcome.posts
    return post


def chunks(call: Call) -> list[bytes]:
    return [chunk for _, chunk in call.chunks]


def error(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(call.trailers[ERROR_BODY]))
    return found


@pytest.mark.parametrize("python", interpreters.VERSIONS)
def test_each_item_of_a_generator_is_a_chunk(invoke: Invoke, python: str) -> None:
    post = only(invoke("generator", 3, python=python))
    assert post.last == "response"
    assert chunks(post) == [f"chunk {number} é\n".encode() for number in range(3)]
    assert post.headers["lambda-runtime-function-response-mode"] == "streaming"
    assert post.headers["content-type"] == "application/octet-stream"
    assert post.headers["lambda-runtime-invocation-id"] == "attempt"
    assert post.trailers == {}


def test_items_are_text_or_bytes_of_any_kind_and_empty_ones_are_left_out(invoke: Invoke) -> None:
    assert chunks(only(invoke("mixed", None))) == [b"bytes ", b"array ", b"view ", b"text"]


def test_the_connection_ends_with_the_response_and_the_next_event_comes_over_another(invoke: Invoke) -> None:
    outcome = invoke("generator", 1, 2)
    assert [call.last for call in outcome.calls] == ["next", "response", "next", "response", "next"]
    assert {post.headers["connection"] for post in outcome.posts} == {"close"}


def test_a_dict_first_is_the_http_response_before_its_body(invoke: Invoke) -> None:
    post = only(invoke("http", None))
    prelude, body = post.body.split(PRELUDE_ENDS)
    assert post.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert json.loads(prelude) == {
        "statusCode": 201,
        "headers": {"content-type": "text/plain"},
        "cookies": ["a=b", "c=d"],
    }
    assert body == b"body"


def test_nothing_yielded_is_an_empty_response(invoke: Invoke) -> None:
    post = only(invoke("generator", 0))
    assert (post.last, post.body, post.headers["transfer-encoding"]) == ("response", b"", "chunked")


def test_an_error_before_the_first_byte_is_reported_like_any_other(invoke: Invoke) -> None:
    outcome = invoke("fails", {"after": 0}, {"after": 0})
    assert [post.last for post in outcome.posts] == ["error", "error"]
    report = json.loads(outcome.posts[0].body)
    assert (report["errorType"], report["errorMessage"]) == ("ValueError", "no luck: é")
    assert [frame.split(", in ")[1].split("\n")[0] for frame in report["stackTrace"]] == ["fails"]


def test_an_error_after_it_follows_the_body_in_trailers(invoke: Invoke) -> None:
    outcome = invoke("fails", {"after": 2}, {"after": 0})
    first, second = outcome.posts
    assert (first.last, first.body, first.trailers[ERROR_TYPE]) == ("response", b"01", "ValueError")
    assert error(first)["errorMessage"] == "no luck: é"
    assert second.last == "error"
    assert outcome.stdout.count("[ERROR] ValueError: no luck: é") == 2
    assert "trailer" in first.headers


def test_an_exit_in_the_middle_ends_the_process_and_with_it_the_response(invoke: Invoke) -> None:
    outcome = invoke("fails", {"after": 2, "exit": True})
    assert (outcome.status, outcome.posts) == (3, [])  # never read to its end


@pytest.mark.parametrize("kind", ["list", "number", "late"])
def test_what_is_no_chunk_is_the_handlers_error(invoke: Invoke, kind: str) -> None:
    post = only(invoke("yields", kind))
    assert (post.body, post.trailers[ERROR_TYPE]) == (b"first", "TypeError")


@pytest.mark.parametrize("kind", ["no status", "body", "nothing"])
def test_what_is_no_beginning_is_an_error_before_it(invoke: Invoke, kind: str) -> None:
    post = only(invoke("yields_first", kind))
    assert (post.last, json.loads(post.body)["errorType"]) == ("error", "TypeError")


@pytest.mark.parametrize("python", interpreters.VERSIONS)
def test_an_asynchronous_generator_streams_in_one_task(invoke: Invoke, python: str) -> None:
    outcome = invoke("asynchronous", 2, 1, python=python)
    assert [chunks(post) for post in outcome.posts] == [
        [b"0 in the generator;", b"1 in the generator;"],
        [b"0 in the generator;"],
    ]
    assert outcome.stdout.count("closed") == 2


def test_an_asynchronous_error_has_the_functions_frames_alone(invoke: Invoke) -> None:
    report = error(only(invoke("fails_asynchronously", None)))
    assert report["errorType"] == "LookupError"
    assert [frame.split(", in ")[1].split("\n")[0] for frame in report["stackTrace"]] == ["fails_asynchronously"]


def test_a_coroutines_result_is_a_buffered_response_and_its_loop_stays(invoke: Invoke) -> None:
    first, failed, second = invoke("coroutine", 1, "raise", 2).posts
    assert "transfer-encoding" not in first.headers
    assert json.loads(first.body)["loop"] == json.loads(second.body)["loop"]
    assert (failed.last, len(json.loads(failed.body)["stackTrace"])) == ("error", 1)


def test_a_coroutine_may_return_a_generator(invoke: Invoke) -> None:
    assert chunks(only(invoke("coroutine_of_generator", 1))) == ["chunk 0 é\n".encode()]


def test_a_parameter_response_stream_is_a_file_also_below_decorators(invoke: Invoke) -> None:
    post = only(invoke("takes", 2))
    assert [json.loads(line) for line in post.body.splitlines()] == [{"number": 0}, {"number": 1}]
    assert post.headers["content-type"] == "application/x-ndjson"


def test_the_standard_librarys_writers_write_to_it(invoke: Invoke) -> None:
    body = only(invoke("writes_as_a_file", None)).body
    assert body.endswith(b"a,1\r\n")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.read("a.txt") == b"zipped"


def test_a_coroutine_may_take_it_by_name_and_begin_an_http_response(invoke: Invoke) -> None:
    prelude, body = only(invoke("takes_asynchronously", None)).body.split(PRELUDE_ENDS)
    assert json.loads(prelude) == {"statusCode": 404, "headers": {"x": "y"}, "cookies": ["a=b"]}
    assert body == b"not here"


def test_an_object_may_take_it(invoke: Invoke) -> None:
    assert only(invoke("an_object", None)).body == b"an object"


def test_who_leaves_the_stream_alone_returns_a_response_or_an_empty_stream(invoke: Invoke) -> None:
    returned = only(invoke("takes_and_returns", 1))
    assert (returned.body, returned.headers["content-type"]) == (b'{"returned": 1}', "application/json")
    left = only(invoke("takes_and_leaves", 1))
    assert (left.body, left.headers["transfer-encoding"]) == (b"", "chunked")


def test_an_error_of_who_takes_it_goes_where_the_response_is(invoke: Invoke) -> None:
    early, late, closed = invoke("takes_and_fails", "early", "late", "closed").posts
    assert (early.last, json.loads(early.body)["errorType"]) == ("error", "ValueError")
    assert (late.last, late.trailers[ERROR_TYPE]) == ("response", "ValueError")
    assert (closed.last, closed.trailers) == ("response", {})


def test_any_iterator_streams(invoke: Invoke) -> None:
    assert chunks(only(invoke("iterator", 3))) == [b"0", b"1", b"2"]


def test_each_chunk_arrives_before_the_next_is_made(invoke: Invoke, tmp_path: Path) -> None:
    def confirm(chunk: bytes) -> bool:
        (tmp_path / chunk.decode()).touch()
        return True

    post = only(invoke("hand_in_hand", {"chunks": 5, "folder": str(tmp_path)}, on_chunk=confirm))
    assert chunks(post) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_chunk_arrives_within_a_millisecond(invoke: Invoke) -> None:
    post = only(invoke("stamped", 40))
    took_ns = sorted(at_ns - int(chunk) for at_ns, chunk in post.chunks)
    assert took_ns[3] < 1_000_000  # of a tenth: the machine may do other things


def test_a_slow_reader_slows_the_handler_down_and_memory_stays_flat(invoke: Invoke) -> None:
    stalled: list[int] = []

    def read_slowly(chunk: bytes) -> bool:
        if len(stalled) < 3:
            stalled.append(1)
            time.sleep(0.1)  # the peer's slowness is what is tested
        return True

    megabytes = 200
    post = only(invoke("large", megabytes, on_chunk=read_slowly))
    assert len(post.body) - megabytes * 1_048_576 < 10
    assert int(post.body[megabytes * 1_048_576 :]) < 8_192  # kB


def refuse_the_tenth() -> Callable[[bytes], bool]:
    seen: list[int] = []

    def takes(chunk: bytes) -> bool:
        seen.append(len(chunk))
        return len(seen) != 10

    return takes


def test_a_refusal_in_the_middle_ends_the_generator_and_not_the_runtime(invoke: Invoke) -> None:
    too_large = {"response": Reply(413, b"too large")}
    outcome = invoke("endless", None, replies=too_large, on_chunk=refuse_the_tenth())
    assert outcome.stdout.count("closed") == 1
    assert "[ERROR] Runtime.ResponseStreamBroken: POST" in outcome.stdout
    assert [call.last for call in outcome.calls] == ["next", "response", "next"]


def test_who_writes_learns_of_a_refusal_as_of_a_broken_pipe(invoke: Invoke) -> None:
    too_large = {"response": Reply(413, b"too large")}
    outcome = invoke("takes_until_it_breaks", None, replies=too_large, on_chunk=refuse_the_tenth())
    assert "status 413, too large; closed: True" in outcome.stdout
    assert [call.last for call in outcome.calls] == ["next", "response", "next"]


def test_a_connection_that_ends_in_the_middle_ends_the_generator_too(invoke: Invoke) -> None:
    gone = {"response": Reply(raw=b"")}
    outcome = invoke("endless", None, replies=gone, on_chunk=refuse_the_tenth())
    assert outcome.stdout.count("closed") >= 1
    assert [call.last for call in outcome.calls] == ["next", "response", "next"]


def test_the_record_of_a_stream_begins_at_its_first_byte_and_ends_after_the_handler(
    invoke: Invoke, tmp_path: Path
) -> None:
    reader = records.open_channel(str(tmp_path / "pipe"))
    try:
        post = only(invoke("stamped", 3))
        found = records.Decoder().feed(os.read(reader, 65536))
    finally:
        os.close(reader)
    of_invocation = [record for record in found if record.invocation == 1]
    names = [records.NAMES[record.kind] for record in of_invocation]
    assert names[:5] == ["next end", "handler begin", "stream begin", "handler end", "stream end"]
    begin, handler_end, end = of_invocation[2:5]
    assert int(chunks(post)[0]) <= begin.monotonic_ns <= int(chunks(post)[1])
    assert handler_end.monotonic_ns <= end.monotonic_ns
    assert (end.number("size"), end.text("problem")) == (len(post.body), "")
    assert all(earlier <= later for earlier, later in pairwise(record.monotonic_ns for record in found))
