"""Failures: each leaves one true trace, from whatever was seen of it before the process died."""

import itertools

import pytest

from coldspan_extension.span import Span
from coldspan_testing.story import ARN, MS, T0, Story, in_handler, named, server_of, told
from coldspan_wrapper import records

Marks = dict[str, tuple[str, str, bool]]


def marks(spans: list[Span]) -> Marks:
    """Of each failed span: error.type, the message, and whether it was cut off."""
    return {
        span.name: (
            str(span.attributes["error.type"]),
            span.status_message,
            span.attributes.get("coldspan.truncated") is True,
        )
        for span in spans
        if span.error
    }


def exceptions(spans: list[Span]) -> list[tuple[str, object, float]]:
    """Span, exception type and time in ms of each exception event."""
    return [
        (span.name, event.attributes["exception.type"], (event.time_ns - T0) / MS)
        for span in spans
        for event in span.events
    ]


def import_fails(story: Story, error_type: str = "Runtime.ImportModuleError", fatal: int = 0) -> None:
    story.hello()
    story.record(40, records.LOAD_BEGIN)
    story.record(60, records.ERROR, "load", error_type, "No module named 'nope'", "Traceback ...", fatal)
    story.record(60, records.LOAD_END)


def init_told(story: Story, phase: str, status: str = "error", **more: object) -> None:
    story.platform(0, "initStart", phase=phase, initializationType="on-demand")
    story.platform(70, "initRuntimeDone", phase=phase, status=status, **more)
    story.platform(71, "initReport", phase=phase, status=status, metrics={"durationMs": 71.25}, **more)


INIT_FAILED = [
    ("init", "", 0, 70),
    ("extension init", "init", 1, 20),
    ("runtime boot", "init", 6, 12),
    ("load handler", "init", 40, 60),
]
REINIT_FAILED = [("fn", "", 0, 75), ("init", "fn", 0, 70), *INIT_FAILED[1:]]
IMPORT_ERROR = ("Runtime.ImportModuleError", "No module named 'nope'", False)


def test_a_failed_first_init_is_a_trace_of_its_own_exported_when_the_environment_ends() -> None:
    story = Story()
    import_fails(story)
    init_told(story, "init", errorType="Runtime.Unknown")
    assert story.init_trace() == []
    story.shut_down(90, "failure")
    assert story.traces() == []
    spans = story.init_trace()
    assert told(spans) == INIT_FAILED
    assert marks(spans) == {"init": IMPORT_ERROR, "load handler": IMPORT_ERROR}
    assert exceptions(spans) == [("init", "Runtime.ImportModuleError", 60)]
    assert spans[0].attributes["coldspan.init.duration"] == 0.07125


def test_the_request_whose_init_fails_again_has_a_server_span_though_no_extension_was_told_of_it() -> None:
    story = Story()
    import_fails(story)
    init_told(story, "invoke", errorType="Runtime.ImportModuleError")
    xray = {"type": "X-Amzn-Trace-Id", "value": "Root=1-5f35ae12-0c0fec141ab77a00bc047aa2;Sampled=0"}
    story.platform(72, "start", requestId="r1", version="$LATEST", functionArn=ARN, tracing=xray)
    story.platform(75, "runtimeDone", requestId="r1", status="error", errorType="Runtime.ImportModuleError")
    assert story.assembly.take() == []
    story.shut_down(90, "failure")
    spans = story.trace()
    assert told(spans) == REINIT_FAILED
    assert marks(spans) == {"fn": IMPORT_ERROR, "init": IMPORT_ERROR, "load handler": IMPORT_ERROR}
    assert exceptions(spans) == [("init", "Runtime.ImportModuleError", 60)]
    attributes = server_of(spans).attributes
    assert attributes["faas.coldstart"] is True
    assert attributes["coldspan.init.phase"] == named(spans, "init").attributes["coldspan.init.phase"] == "invoke"
    assert attributes["aws.lambda.invoked_arn"] == ARN
    assert attributes["coldspan.xray.trace_id"] == "1-5f35ae12-0c0fec141ab77a00bc047aa2"
    assert story.init_trace() == []


def test_an_exit_at_import_has_the_platforms_error_type_and_is_an_event() -> None:
    story = Story()
    import_fails(story, "SystemExit", fatal=1)
    init_told(story, "init", errorType="Runtime.ExitError")
    story.shut_down(90, "failure")
    spans = story.init_trace()
    assert marks(spans) == {
        "init": ("Runtime.ExitError", "", True),
        "load handler": ("Runtime.ExitError", "", False),
    }
    assert exceptions(spans) == [("init", "SystemExit", 60)]


@pytest.mark.parametrize("has_telemetry", [True, False])
def test_a_process_that_vanishes_during_its_load_leaves_what_had_begun(has_telemetry: bool) -> None:
    story = Story()
    story.hello()
    story.record(40, records.LOAD_BEGIN)
    story.assembly.runtime_ended(T0 + 70 * MS)
    if has_telemetry:
        init_told(story, "init", errorType="Runtime.ExitError")
    story.shut_down(90, "failure")
    spans = story.init_trace()
    begin = 0 if has_telemetry else 1
    assert told(spans) == [("init", "", begin, 70), *INIT_FAILED[1:3], ("load handler", "init", 40, 70)]
    assert marks(spans) == dict.fromkeys(("init", "load handler"), ("Runtime.ExitError", "", True))


def test_an_init_that_ran_out_of_time_says_so_whatever_the_platform_calls_it() -> None:
    story = Story()
    story.hello()
    story.record(40, records.LOAD_BEGIN)
    init_told(story, "init", "timeout", errorType="Runtime.Unknown")
    story.assembly.runtime_ended(T0 + 75 * MS)
    story.shut_down(90, "timeout")
    assert marks(story.init_trace()) == dict.fromkeys(("init", "load handler"), ("timeout", "", True))


def test_a_reinit_that_takes_the_requests_whole_time_is_that_requests_timeout() -> None:
    story = Story()
    story.hello()
    story.record(40, records.LOAD_BEGIN)
    init_told(story, "invoke", "timeout")
    story.platform(71, "start", requestId="r1")
    story.platform(72, "runtimeDone", requestId="r1", status="timeout")
    story.shut_down(90, "timeout")
    spans = story.trace()
    assert told(spans)[:2] == [("fn", "", 0, 72), ("init", "fn", 0, 70)]
    assert marks(spans) == dict.fromkeys(("fn", "init", "load handler"), ("timeout", "", True))


def test_a_failed_init_is_told_by_the_platform_alone_where_the_wrapper_is_missing() -> None:
    story = Story()
    init_told(story, "init", errorType="Runtime.ExitError")
    story.shut_down(90, "failure")
    spans = story.init_trace()
    assert told(spans) == INIT_FAILED[:2]
    assert marks(spans) == {"init": ("Runtime.ExitError", "", True)}


def test_an_init_of_which_nobody_tells_how_it_ended_is_no_error() -> None:
    story = Story()
    story.shut_down(90, "spindown")
    spans = story.init_trace()
    assert (told(spans)[0], marks(spans)) == (("init", "", 1, 90), {})


def test_a_managed_instances_parent_that_never_asks_for_an_event_is_no_error() -> None:
    story = Story("lambda-managed-instances")
    story.hello()
    story.platform(120, "start", requestId="r1")  # served by a forked worker, of which there are no records
    story.assembly.runtime_ended(T0 + 900 * MS)
    story.shut_down(901, "spindown")
    assert (story.traces(), marks(story.init_trace())) == ([], {})


def test_a_hook_that_fails_after_the_restore_fails_the_request_that_waited_for_it() -> None:
    story = Story("snap-start")
    story.hello()
    story.loaded()
    story.record(100, records.RESTORE_BEGIN)
    story.record(1_030, records.RESTORE_END, T0 + 1_030 * MS)
    story.record(1_040, records.ERROR, "restore", "ValueError", "no entropy", "Traceback ...", 0)
    story.record(1_041, records.ERROR, "restore", "SystemExit", "65", "Traceback ...", 1)
    story.platform(1_000, "restoreStart")
    story.platform(1_045, "restoreRuntimeDone", status="error", errorType="Runtime.RestoreHookUserError")
    story.platform(1_046, "start", requestId="r1")
    story.platform(1_047, "runtimeDone", requestId="r1", status="error", errorType="Runtime.RestoreHookUserError")
    story.shut_down(1_050, "failure")
    spans = story.trace()
    assert told(spans) == [
        ("fn", "", 1_000, 1_047),
        ("restore", "fn", 1_000, 1_045),
        ("restore hooks", "restore", 1_030, 1_045),
    ]
    assert marks(spans) == dict.fromkeys(("fn", "restore"), ("ValueError", "no entropy", False))
    assert exceptions(spans) == [("restore", "ValueError", 1_040), ("restore", "SystemExit", 1_041)]


def test_a_hook_that_fails_before_the_snapshot_fails_the_init() -> None:
    story = Story("snap-start")
    story.hello()
    story.loaded()
    story.record(98, records.ERROR, "snapshot", "ValueError", "not ready", "Traceback ...", 0)
    story.shut_down(120, "failure")
    assert marks(story.init_trace()) == {"init": ("ValueError", "not ready", False)}


@pytest.mark.parametrize("told_type", ["", "Runtime.ExitError"])
def test_out_of_memory_is_seen_from_the_memory_that_was_used_where_the_platform_does_not_say(told_type: str) -> None:
    story = in_handler()
    more = {"errorType": told_type} if told_type else {}
    metrics = {"durationMs": 10, "memorySizeMB": 128, "maxMemoryUsedMB": 128}
    story.platform(510, "report", requestId="r2", status="error", metrics=metrics)
    story.platform(510, "runtimeDone", requestId="r2", status="error", **more)
    story.shut_down(560, "failure")
    assert marks(story.trace()) == dict.fromkeys(("fn", "handler"), ("Runtime.OutOfMemory", "", True))


def test_a_function_that_uses_all_its_memory_and_then_exits_by_itself_did_exit() -> None:
    story = in_handler()
    story.record(503, records.HANDLER_END)
    story.record(503, records.ERROR, "handler", "SystemExit", "3", "Traceback ...", 1)
    story.platform(510, "report", requestId="r2", metrics={"memorySizeMB": 128, "maxMemoryUsedMB": 128})
    story.platform(510, "runtimeDone", requestId="r2", status="error", errorType="Runtime.ExitError")
    assert marks(story.trace())["fn"] == ("Runtime.ExitError", "", True)


def test_without_telemetry_a_crash_ends_when_the_process_did_not_when_it_was_told() -> None:
    story = in_handler()
    story.assembly.runtime_ended(T0 + 530 * MS)
    story.shut_down(590, "failure")
    spans = story.trace()
    assert told(spans) == [("fn", "", 500, 530), ("next", "fn", 500, 501), ("handler", "fn", 502, 530)]
    assert marks(spans) == dict.fromkeys(("fn", "handler"), ("Runtime.ExitError", "", True))


@pytest.mark.parametrize(
    ("size", "error_type"), [(6_291_557, "Function.ResponseSizeTooLarge"), (6_291_556, "RuntimeError")]
)
def test_a_response_that_is_refused_ends_with_the_refusal(size: int, error_type: str) -> None:
    story = in_handler()
    story.record(512, records.HANDLER_END)
    story.record(513, records.RESPONSE_BEGIN, size, 0, "")
    story.record(520, records.RESPONSE_END, "RuntimeError: Failed to post invocation response")
    story.platform(530, "runtimeDone", requestId="r2", status="error", errorType="Runtime.ExitError")
    spans = story.trace()
    assert told(spans)[0] == ("fn", "", 500, 520)
    assert marks(spans) == dict.fromkeys(("fn", "response"), (error_type, "Failed to post invocation response", False))


def test_what_the_platform_tells_of_the_process_before_a_reset_is_not_ours() -> None:
    """Everything of it comes first, as Lambda replays it; the ends of its init and its request are none of ours."""
    before: list[tuple[float, str, dict[str, object]]] = [
        (-900, "initStart", {"phase": "init"}),
        (-500, "initRuntimeDone", {"phase": "init", "status": "timeout"}),
        (-499, "initReport", {"phase": "init", "status": "timeout", "metrics": {"durationMs": 401}}),
        (-490, "start", {"requestId": "r0"}),
        (-400, "runtimeDone", {"requestId": "r0", "status": "timeout"}),
        (-300, "report", {"requestId": "r0", "status": "timeout"}),
    ]
    ours: list[tuple[float, str, dict[str, object]]] = [
        (0, "initStart", {"phase": "invoke"}),
        (101, "initReport", {"phase": "invoke", "status": "success"}),
    ]
    for order in itertools.permutations([before[0], before[2], ours[0], ours[1]]):
        story = Story()
        story.init()
        for at_ms, of_type, record in (*order, *before[3:]):
            story.platform(at_ms, of_type, **record)
        story.invoked(102)
        story.delivered(104)
        story.served(105)
        spans = story.trace()
        assert told(spans)[:2] == [("fn", "", 0, 117), ("init", "fn", 0, 100)]
        assert named(spans, "init").attributes["coldspan.init.phase"] == "invoke"
        assert marks(spans) == {}


def test_only_the_dead_ones_init_start_is_no_init_start_of_ours() -> None:
    story = Story()
    story.init()
    story.platform(-900, "initStart", phase="init")
    story.platform(-499, "initReport", phase="init", status="timeout")
    story.invoked(102)
    story.delivered(104)
    story.served(105)
    assert told(story.trace())[0] == ("fn", "", 1, 117)


EVENTS: list[tuple[float, str, dict[str, object]]] = [
    (0, "initStart", {"phase": "init"}),
    (101, "initReport", {"phase": "init", "status": "success", "metrics": {"durationMs": 101}}),
    (102, "start", {"requestId": "r1"}),
    (117, "runtimeDone", {"requestId": "r1", "status": "success"}),
]


@pytest.mark.parametrize("order", list(itertools.permutations(EVENTS)))
def test_telemetry_may_come_in_any_order_and_twice(order: tuple[tuple[float, str, dict[str, object]], ...]) -> None:
    story = Story()
    story.init()
    story.invoked(102.4)
    story.delivered(104)
    story.served(105)
    for at_ms, of_type, record in (*order, *order):
        story.platform(at_ms, of_type, **record)
    spans = story.trace()
    assert told(spans)[:3] == [("fn", "", 0, 117), ("init", "fn", 0, 100), ("next", "fn", 102, 104)]
    assert marks(spans) == {}
    for at_ms, of_type, record in order:  # and a third time, when all is over
        story.platform(at_ms, of_type, **record)
    story.shut_down(600, "spindown")
    assert (story.traces(), story.init_trace()) == ([], [])


def test_events_of_one_invocation_ago_invent_no_invocation() -> None:
    story = in_handler()
    story.platform(102, "start", requestId="r1")
    story.platform(90, "start", requestId="r0")
    story.platform(117, "runtimeDone", requestId="r0", status="error")
    story.platform(510, "runtimeDone", requestId="r2", status="error", errorType="Runtime.ExitError")
    story.shut_down(600, "failure")
    assert [server_of(spans).attributes["faas.invocation_id"] for spans in story.traces()] == ["r2"]


def test_records_without_any_word_of_platform_or_lambda_are_a_whole_trace() -> None:
    story = Story()
    story.init()
    story.delivered(104)
    story.served(105)
    spans = story.trace()
    assert [(span.name, span.error) for span in spans[:5]] == [
        ("fn", False),
        ("init", False),
        ("next", False),
        ("handler", False),
        ("response", False),
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_events_and_records_that_are_lost_alike_leave_one_server_span_each(count: int) -> None:
    """Only our own INVOKE events are left."""
    story = Story()
    for number in range(count):
        story.invoked(100 + 100 * number, f"r{number}", 60_000)
    story.shut_down(900, "spindown")
    traces = story.traces()
    assert [server_of(spans).attributes["faas.invocation_id"] for spans in traces] == [f"r{n}" for n in range(count)]
    assert [marks(spans) for spans in traces] == [{}] * count


def test_an_invocation_of_which_we_were_told_late_ends_when_the_platform_says() -> None:
    """We are told of it when we ask, which may be after it: an export of the one before was still on its way."""
    story = Story()
    story.platform(0, "initStart", phase="init", initializationType="on-demand")
    story.platform(100, "initRuntimeDone", phase="init", status="success")
    story.invoked(101, "r1")
    story.platform(101, "start", requestId="r1")
    story.platform(110, "runtimeDone", requestId="r1", status="success")
    story.traces()
    story.platform(200, "start", requestId="r2")
    story.platform(210, "runtimeDone", requestId="r2", status="success")
    story.invoked(370, "r2")
    story.shut_down(400, "spindown")
    assert told(story.trace()) == [("fn", "", 200, 210)]


def test_a_burst_whose_events_are_told_after_its_records_ends_with_the_one_that_ran_out_of_time() -> None:
    story = Story()
    story.init()
    story.delivered(104)
    story.served(105)
    story.delivered(501, "r2", 3_500)
    story.record(502, records.HANDLER_BEGIN, [])
    story.invoked(102)
    story.invoked(500, "r2", 3_500)
    story.shut_down(3_501, "timeout")
    first, second = story.traces()
    assert marks(first) == {}
    assert marks(second)["fn"] == ("timeout", "", True)
    assert told(second)[0] == ("fn", "", 500, 3_500)


def test_an_invocation_of_which_no_end_was_seen_did_not_end_the_process_that_served_another() -> None:
    story = in_handler()
    story.invoked(600, "r3", 3_600)
    story.assembly.runtime_ended(T0 + 9_000 * MS)
    story.shut_down(9_001, "spindown")
    lost, _ = story.traces()
    assert marks(lost) == {}
    assert told(lost)[0] == ("fn", "", 500, 600)


def test_an_init_of_which_no_end_was_seen_did_not_fail_where_an_event_came() -> None:
    story = Story()
    story.hello()
    story.record(40, records.LOAD_BEGIN)
    story.invoked(102)
    story.assembly.runtime_ended(T0 + 9_000 * MS)
    story.shut_down(9_001, "spindown")
    assert marks(story.trace()) == {}


@pytest.mark.parametrize("reason", ["timeout", "failure"])
def test_what_ends_the_environment_is_told_of_its_last_invocation_alone(reason: str) -> None:
    """Without wrapper and telemetry nobody tells when one ended."""
    story = Story()
    story.invoked(102)
    story.invoked(500, "r2", 3_500)
    story.shut_down(3_501, reason)
    first, second = story.traces()
    assert marks(first) == {}
    assert set(marks(second)) == {"fn"}
