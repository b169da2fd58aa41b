"""Traces of responses that were streamed."""

from coldspan_testing.story import MS, T0, Story, in_handler, named, server_of, told
from coldspan_wrapper import records

OVERHEAD_NS = 250_000


def streaming_story() -> Story:
    """A warm invocation at 500 whose handler began at 502 and wrote its first byte at 510."""
    story = in_handler()
    story.record(510, records.STREAM_BEGIN, OVERHEAD_NS)
    return story


def test_a_streamed_response_lies_in_its_handler_from_the_first_byte_on() -> None:
    story = streaming_story()
    story.record(600, records.HANDLER_END)
    story.record(600.5, records.STREAM_END, 12_345, "", "")
    spans = story.trace()
    assert told(spans) == [
        ("fn", "", 500, 600.5),
        ("next", "fn", 500, 501),
        ("handler", "fn", 502, 600),
        ("response", "handler", 510, 600),
    ]
    server = server_of(spans)
    assert server.attributes["coldspan.response.ttfb"] == 0.01
    assert server.attributes["coldspan.response.size"] == 12_345
    assert [(event.name, event.time_ns, event.attributes) for event in server.events] == [
        ("first_byte", T0 + 510 * MS, {})
    ]
    assert named(spans, "response").attributes == {"coldspan.phase": "response"}
    assert not any(span.error for span in spans)


def test_what_the_caller_read_after_the_handler_is_shown_from_a_millisecond_on() -> None:
    story = streaming_story()
    story.record(600, records.HANDLER_END)
    story.record(650, records.STREAM_END, 12_345, "", "")
    spans = story.trace()
    drain = named(spans, "response drain")
    assert (drain.start_ns, drain.end_ns) == (T0 + 600 * MS + 1_000, T0 + 650 * MS)
    assert drain.parent_id == server_of(spans).span_id
    assert server_of(spans).end_ns == drain.end_ns


def test_a_handler_that_goes_on_after_its_response_prolongs_the_invocation() -> None:
    story = streaming_story()
    story.record(700, records.HANDLER_END)
    story.record(520, records.STREAM_END, 5, "", "")
    assert told(story.trace()) == [
        ("fn", "", 500, 700),
        ("next", "fn", 500, 501),
        ("handler", "fn", 502, 700),
        ("response", "handler", 510, 520),
    ]


def test_a_failure_in_the_middle_of_a_response_is_the_handlers() -> None:
    story = streaming_story()
    story.record(600, records.HANDLER_END)
    story.record(600, records.ERROR, "handler", "ValueError", "no luck", "the stack", 0)
    story.record(600.5, records.STREAM_END, 10, "", '{"errorType": "ValueError"}')
    spans = story.trace()
    marks = {span.name: (span.error, span.attributes.get("error.type")) for span in spans}
    assert marks["fn"] == marks["handler"] == (True, "ValueError")
    assert marks["response"] == (False, None)
    assert [event.name for event in named(spans, "handler").events] == ["exception"]


def test_a_response_that_was_refused_is_an_error_of_the_response_and_never_too_large_for_its_size_alone() -> None:
    refusals = {"POST /x: status 413, no": "Function.ResponseSizeTooLarge", "gone": "ResponseStreamBroken"}
    for said, expected in refusals.items():
        story = streaming_story()
        story.record(600, records.HANDLER_END)
        story.record(600.5, records.STREAM_END, 10_000_000, f"ResponseStreamBroken: {said}", "")
        spans = story.trace()
        assert [span.name for span in spans if span.error] == ["fn", "response"]
        assert server_of(spans).attributes["error.type"] == expected


def test_a_stream_that_ran_out_of_time_is_cut_where_the_handler_is() -> None:
    story = streaming_story()
    story.platform(3_500, "runtimeDone", requestId="r2", status="timeout")
    spans = story.trace()
    assert told(spans)[2:] == [("handler", "fn", 502, 3_500), ("response", "handler", 510, 3_500)]
    assert {span.name for span in spans if span.attributes.get("coldspan.truncated")} == {"fn", "handler", "response"}


def test_an_empty_stream_begins_and_ends_after_its_handler() -> None:
    story = Story()
    story.init()
    story.invoked(102)
    story.delivered(104)
    story.record(105, records.HANDLER_BEGIN, [])
    story.record(110, records.HANDLER_END)
    story.record(110.5, records.STREAM_BEGIN, OVERHEAD_NS)
    story.record(111, records.STREAM_END, 0, "", "")
    spans = story.trace()
    assert [entry for entry in told(spans) if entry[0] in ("handler", "response")] == [
        ("handler", "fn", 105, 110),
        ("response", "fn", 110.5, 111),
    ]
    assert "coldspan.response.ttfb" not in server_of(spans).attributes
