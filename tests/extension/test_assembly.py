"""From observations to traces: whole traces as literals, whoever reports in whatever order."""

import itertools

import pytest

from coldspan_extension import assembly
from coldspan_testing.story import ARN, MS, T0, Story, named, server_of, told
from coldspan_wrapper import records

COLD = [
    ("fn", "", 0, 117),
    ("init", "fn", 0, 100),
    ("next", "fn", 102, 104),
    ("handler", "fn", 105, 115),
    ("response", "fn", 115.5, 117),
    ("extension init", "init", 1, 20),
    ("runtime boot", "init", 6, 12),
    ("load handler", "init", 40, 95),
]


def cold_story() -> Story:
    story = Story()
    story.platform(0, "initStart", phase="init", initializationType="on-demand")
    story.init()
    story.invoked(102)
    story.delivered(104)
    story.served(105)
    return story


def warm_story() -> Story:
    """A second invocation, which the runtime has got just now."""
    story = cold_story()
    story.traces()
    story.invoked(500, "r2", 3_500)
    story.delivered(501, "r2", 3_500)
    return story


def test_a_cold_start_is_one_trace_from_inits_start_to_the_accepted_response() -> None:
    spans = cold_story().trace()
    assert told(spans) == COLD
    server = server_of(spans)
    assert server.attributes == {
        "faas.trigger": "other",
        "faas.invocation_id": "r1",
        "faas.coldstart": True,
        "coldspan.init.type": "on-demand",
        "coldspan.init.phase": "init",
        "coldspan.invocation.sequence": 1,
        "aws.lambda.invoked_arn": ARN,
        "coldspan.xray.trace_id": "1-5f35ae12-0c0fec141ab77a00bc047aa2",
        "coldspan.response.size": 17,
        "coldspan.overhead.extension": 0.003,
        "coldspan.overhead.wrapper": 0.00025,
    }
    assert named(spans, "init").attributes == {
        "coldspan.phase": "init",
        "coldspan.init.type": "on-demand",
        "coldspan.init.phase": "init",
    }
    assert not any(span.error for span in spans)
    assert {span.trace_id for span in spans} == {server.trace_id}
    assert server.parent_id == b""


def test_without_telemetry_a_cold_trace_begins_with_the_extensions_process() -> None:
    story = Story()
    story.init()
    story.invoked(102)
    story.delivered(104)
    story.served(105)
    assert told(story.trace())[:2] == [("fn", "", 1, 117), ("init", "fn", 1, 100)]


def test_a_warm_trace_has_no_idle_time_in_it_however_long_it_was() -> None:
    hour = 3_600_000
    story = cold_story()
    story.traces()
    story.invoked(hour, "r2", hour + 3_000)
    story.delivered(hour + 1, "r2", hour + 3_000)
    story.served(hour + 1.5)
    spans = story.trace()
    assert told(spans) == [
        ("fn", "", hour, hour + 13.5),
        ("next", "fn", hour, hour + 1),
        ("handler", "fn", hour + 1.5, hour + 11.5),
        ("response", "fn", hour + 12, hour + 13.5),
    ]
    attributes = server_of(spans).attributes
    assert attributes["faas.coldstart"] is False
    assert attributes["coldspan.idle.duration"] == pytest.approx(3600 - 0.1172)
    assert attributes["coldspan.invocation.sequence"] == 2


def test_a_clock_that_was_set_during_the_freeze_bends_no_trace() -> None:
    story = cold_story()
    story.traces()
    story.clock_drift_ms = 250  # the wall clock gained 250 ms on the monotonic one
    story.invoked(10_000, "r2", 13_000)
    story.delivered(10_001, "r2", 13_000)
    story.served(10_002)
    assert told(story.trace())[0] == ("fn", "", 10_000, 10_014)


@pytest.mark.parametrize("order", list(itertools.permutations(["invoked", "delivered", "start"])))
def test_it_does_not_matter_who_tells_of_an_invocation_first(order: tuple[str, ...]) -> None:
    story = cold_story()
    story.traces()
    tell = {
        "invoked": lambda: story.invoked(500.4, "r2", 3_500),
        "delivered": lambda: story.delivered(501, "r2", 3_500),
        "start": lambda: story.platform(500, "start", requestId="r2"),
    }
    for who in order:
        tell[who]()
    story.served(502)
    assert told(story.trace())[0] == ("fn", "", 500, 514)


def test_an_event_that_reached_the_runtime_first_still_has_a_next_span() -> None:
    story = cold_story()
    story.traces()
    story.delivered(501, "r2", 3_500)
    story.invoked(501.2, "r2", 3_500)
    story.served(502)
    assert told(story.trace())[1] == ("next", "fn", 500.999, 501)


def test_decoding_and_encoding_are_shown_from_a_millisecond_on() -> None:
    story = warm_story()
    story.record(505, records.HANDLER_BEGIN, [])
    story.record(506, records.HANDLER_END)
    story.record(509, records.RESPONSE_BEGIN, 1, 0, "")
    story.record(510, records.RESPONSE_END, "")
    spans = story.trace()
    assert told(spans)[1:] == [
        ("next", "fn", 500, 501),
        ("handler", "fn", 505, 506),
        ("response", "fn", 509, 510),
        ("event decode", "fn", 501.001, 504.999),
        ("response encode", "fn", 506.001, 508.999),
    ]


def test_children_lie_inside_their_parents_in_whole_microseconds_one_apart() -> None:
    story = Story()
    story.init()
    story.invoked(99.0)  # our event came before the runtime had asked for its own
    story.delivered(100.0003)
    story.record(100.0004, records.HANDLER_BEGIN, [])
    story.record(100.0005, records.HANDLER_END)
    story.record(100.0006, records.RESPONSE_BEGIN, 1, 0, "")
    story.record(100.0007, records.RESPONSE_END, "")
    spans = story.trace()
    by_id = {span.span_id: span for span in spans}
    for span in spans:
        assert span.start_ns % 1000 == span.end_ns % 1000 == 0
        parent = by_id.get(span.parent_id)
        if parent is not None:
            assert parent.start_ns <= span.start_ns <= span.end_ns <= parent.end_ns
    phases = [span for span in spans if "coldspan.phase" in span.attributes]
    assert [span.name for span in phases] == ["init", "next", "handler", "response"]
    for before, after in itertools.pairwise(phases):
        assert after.start_ns - before.end_ns >= 1_000


def test_a_remote_parent_is_adopted_with_its_trace_and_state() -> None:
    story = warm_story()
    context = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    story.served(502, [("header.traceparent", context), ("header.tracestate", "a=b"), ("event.httpMethod", "GET")])
    server = server_of(story.trace())
    assert server.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert server.parent_id.hex() == "b7ad6b7169203331"
    assert (server.trace_state, server.parent_is_remote) == ("a=b", True)
    assert server.attributes["faas.trigger"] == "http"


def test_the_retry_of_an_asynchronous_invocation_is_a_trace_of_its_own() -> None:
    story = cold_story()
    (first,) = story.traces()
    story.invoked(60_000, "r1", 63_100)
    story.delivered(60_001, "r1", 63_100)
    story.served(60_002)
    assert story.trace()[0].trace_id != first[0].trace_id


def test_what_the_platform_tells_late_of_one_attempt_does_not_end_the_next() -> None:
    story = cold_story()
    story.traces()
    story.invoked(60_000, "r1", 63_100)
    story.platform(118, "runtimeDone", requestId="r1", status="timeout")
    story.delivered(60_001, "r1", 63_100)
    assert story.assembly.take() == []
    story.served(60_002)
    assert told(story.trace())[0] == ("fn", "", 60_000, 60_014)


def test_a_record_that_comes_after_its_trace_makes_no_second_one() -> None:
    story = cold_story()
    story.traces()
    story.invoked(500, "r2", 3_500)
    story.platform(505, "runtimeDone", requestId="r2", status="success")
    story.traces()
    story.delivered(501, "r2", 3_500)
    story.served(502)
    assert story.traces() == []


def test_a_marshaller_that_calls_ours_tells_the_event_later() -> None:
    story = warm_story()
    story.record(502, records.HANDLER_BEGIN, [])
    story.served(503, [("event.httpMethod", "GET")])
    spans = story.trace()
    assert named(spans, "handler").start_ns == T0 + 502 * MS
    assert server_of(spans).attributes["faas.trigger"] == "http"
    assert story.assembly.take_lost() == 0


def test_a_raised_exception_is_an_error_though_the_platform_says_success() -> None:
    story = warm_story()
    story.record(502, records.HANDLER_BEGIN, [])
    story.record(503, records.HANDLER_END)
    story.record(503, records.ERROR, "handler", "app.Broken", "no luck", "Traceback ...", 0)
    story.record(504, records.RESPONSE_BEGIN, 90, 0, '{"errorType":"Broken"}')
    story.record(505, records.RESPONSE_END, "")
    story.platform(505, "runtimeDone", requestId="r2", status="success")
    spans = story.trace()
    for name in ("fn", "handler"):
        span = named(spans, name)
        assert (span.error, span.status_message, span.attributes["error.type"]) == (True, "no luck", "app.Broken")
    (event,) = named(spans, "handler").events
    assert (event.name, event.time_ns - T0) == ("exception", 503 * MS)
    assert event.attributes["exception.stacktrace"] == "Traceback ..."
    assert server_of(spans).events == []
    assert not named(spans, "response").error


def test_an_event_that_cannot_be_decoded_never_reaches_the_handler() -> None:
    story = warm_story()
    story.record(502, records.ERROR, "decode", "Runtime.UnmarshalError", "Unable to unmarshal input", "", 0)
    story.record(503, records.RESPONSE_BEGIN, 90, 0, "{}")
    story.record(504, records.RESPONSE_END, "")
    spans = story.trace()
    assert [span.name for span in spans] == ["fn", "next", "response"]
    assert server_of(spans).attributes["error.type"] == "Runtime.UnmarshalError"
    assert [event.name for event in server_of(spans).events] == ["exception"]


def test_an_error_that_nobody_saw_raised_is_read_from_what_was_posted() -> None:
    story = warm_story()
    posted = '{"errorMessage":"Unable to parse Client Context","errorType":"Runtime.LambdaContextUnmarshalError"}'
    story.record(503, records.RESPONSE_BEGIN, 90, 0, posted)
    story.record(504, records.RESPONSE_END, "")
    server = server_of(story.trace())
    assert server.attributes["error.type"] == "Runtime.LambdaContextUnmarshalError"
    assert server.status_message == "Unable to parse Client Context"


def test_a_timed_out_handler_span_ends_at_its_deadline() -> None:
    story = warm_story()
    story.record(502, records.HANDLER_BEGIN, [])
    story.platform(3_502, "runtimeDone", requestId="r2", status="timeout")
    story.assembly.shut_down("timeout", T0 + 3_600 * MS)
    spans = story.trace()
    assert told(spans) == [("fn", "", 500, 3_500), ("next", "fn", 500, 501), ("handler", "fn", 502, 3_500)]
    for name in ("fn", "handler"):
        span = named(spans, name)
        assert (span.error, span.attributes["error.type"]) == (True, "timeout")
        assert span.attributes["coldspan.truncated"] is True


def test_a_process_that_exited_has_the_platforms_error_type_and_the_exit_as_event() -> None:
    story = warm_story()
    story.record(502, records.HANDLER_BEGIN, [])
    story.record(503, records.HANDLER_END)
    story.record(503, records.ERROR, "handler", "SystemExit", "3", "Traceback ...", 1)
    story.platform(510, "runtimeDone", requestId="r2", status="error", errorType="Runtime.ExitError")
    spans = story.trace()
    assert told(spans)[0] == ("fn", "", 500, 510)
    assert [event.attributes["exception.type"] for event in named(spans, "handler").events] == ["SystemExit"]
    for name in ("fn", "handler"):
        assert (named(spans, name).attributes["error.type"], named(spans, name).status_message) == (
            "Runtime.ExitError",
            "",
        )


def test_without_telemetry_shutdown_tells_of_the_crash() -> None:
    story = warm_story()
    story.record(502, records.HANDLER_BEGIN, [])
    story.assembly.shut_down("failure", T0 + 600 * MS)
    assert server_of(story.trace()).attributes["error.type"] == "Runtime.ExitError"


def test_a_second_runtime_done_that_says_timeout_changes_nothing() -> None:
    story = warm_story()
    story.record(502, records.HANDLER_BEGIN, [])
    story.platform(510, "runtimeDone", requestId="r2", status="error", errorType="Runtime.ExitError")
    story.platform(3_500, "runtimeDone", requestId="r2", status="timeout")
    assert told(story.trace())[0] == ("fn", "", 500, 510)


def test_without_a_wrapper_the_platform_alone_makes_a_trace() -> None:
    story = Story()
    story.platform(0, "initStart", phase="init")
    story.invoked(102)
    story.platform(101, "start", requestId="r1")
    story.platform(160, "runtimeDone", requestId="r1", status="success")
    spans = story.trace()
    assert told(spans) == [("fn", "", 0, 160), ("init", "fn", 0, 101), ("extension init", "init", 1, 20)]
    assert not server_of(spans).error
    assert "coldspan.truncated" not in server_of(spans).attributes


def test_without_a_wrapper_and_without_telemetry_nothing_is_invented() -> None:
    story = Story()
    story.invoked(102)
    story.invoked(502, "r2", 3_500)
    assert story.traces() == []  # telemetry may still tell how it ended
    story.shut_down(900, "spindown")
    for server, *_ in story.traces():
        assert not server.error


def test_the_platforms_word_is_not_waited_for_for_ever() -> None:
    story = Story()
    for number in range(1, 7):
        story.invoked(100 * number, f"r{number}", 3_000 + number)
    (spans,) = story.traces()
    assert (server_of(spans).end_ns - T0) / MS == 200


def test_records_of_the_process_before_a_reset_are_not_mistaken_for_this_ones() -> None:
    story = Story()
    story.record(1, records.NEXT_BEGIN, pid=6)
    story.init()
    story.record(101, records.RESPONSE_END, "", pid=6)
    assert story.assembly.take_lost() == 2


def test_lost_records_cost_their_spans_and_are_counted() -> None:
    story = warm_story()
    story.record(503, records.HANDLER_END)  # its begin was lost
    story.record(504, records.LOST, 1)
    story.record(504, records.RESPONSE_BEGIN, 90, 0, "")
    story.record(505, records.RESPONSE_END, "")
    assert [span.name for span in story.trace()] == ["fn", "next", "response"]
    assert story.assembly.take_lost() == 2


def test_an_invocation_whose_every_other_record_was_lost_does_not_end_the_next_ones() -> None:
    story = cold_story()
    story.traces()
    story.invocation = 2  # the second one: only the end of its response arrives
    story.record(500, records.RESPONSE_END, "")
    story.invoked(600, "r3", 3_600)
    story.delivered(601, "r3", 3_600)
    story.served(602)
    assert told(story.trace())[0] == ("fn", "", 600, 614)


@pytest.mark.parametrize("state", sorted({state for state, _ in assembly.TRANSITIONS}))
@pytest.mark.parametrize("kind", sorted(set(records.FIELDS) - set(assembly._FACTS) - {records.HELLO}))
def test_every_pair_of_state_and_record_is_decided(state: str, kind: int) -> None:
    expected = assembly.TRANSITIONS.get((state, kind))
    if expected is None and kind in (records.NEXT_BEGIN, records.NEXT_END):
        expected = {records.NEXT_BEGIN: assembly.WAITING, records.NEXT_END: assembly.DELIVERED}[kind]
    assert assembly.advance(state, kind) == (expected or "")


def test_an_unsampled_trace_has_no_spans() -> None:
    story = Story(sampler="always_off")
    story.init()
    story.invoked(102)
    story.delivered(104)
    story.served(105)
    assert story.traces() == [[]]


def test_after_response_begins_where_server_ends_and_carries_the_report() -> None:
    story = cold_story()
    (invocation,) = story.assembly.take()
    server = story.tracer.trace(invocation, {})[0]
    (runtimes_way,) = story.tracer.after_response(server, invocation)
    assert (runtimes_way.start_ns, runtimes_way.end_ns) == (server.end_ns, invocation.returned_ns)
    invocation.next_asked_ns = T0 + 150 * MS
    metrics = {"durationMs": 48.5, "billedDurationMs": 149, "memorySizeMB": 512, "maxMemoryUsedMB": 64}
    story.platform(151, "report", requestId="r1", status="success", metrics=metrics)
    (span,) = story.tracer.after_response(server, invocation)
    assert (span.start_ns, span.end_ns - T0, span.parent_id) == (server.end_ns, 150 * MS, server.span_id)
    assert span.attributes == {
        "coldspan.platform.duration": 0.0485,
        "coldspan.billed_duration": 0.149,
        "coldspan.memory.max_used": 64 * 1_048_576,
    }


def test_what_is_carried_stands_on_the_server_span() -> None:
    story = cold_story()
    ((server, *_),) = story.traces({"coldspan.dropped.spans": 3})
    assert server.attributes["coldspan.dropped.spans"] == 3
