"""Start types: the verdict on every kind of evidence, and the traces that follow from it."""

import pytest

from coldspan_extension.starts import CHILD, NOWHERE, OWN, Facts, arrivals, judge
from coldspan_testing.story import Story, named, server_of, told

SECOND = 1_000_000_000


def at(seconds: float) -> int:
    return round(seconds * SECOND)


def ready(
    requested: float, init_type: str = "on-demand", phase: str = "init", http: float = 0, queue: float = 0
) -> Facts:
    """Of an environment that was made ready from 100 s to 101 s; the others are seconds too."""
    return Facts(init_type, phase, at(100), at(101), at(requested), at(http), at(queue))


@pytest.mark.parametrize(
    ("facts", "kind", "is_cold", "place"),
    [
        # Nothing but the gap from the end of init to the request
        (ready(101.003), "on-demand", True, CHILD),
        (ready(100.999), "on-demand", True, CHILD),  # Lambda's clock is cut
        (ready(102), "on-demand", True, CHILD),
        (ready(102.001), "proactive", False, OWN),
        (ready(500), "proactive", False, OWN),
        (Facts(began_ns=at(100), requested_ns=at(108)), "on-demand", True, CHILD),  # nobody saw init's end
        # An HTTP request tells when it was made
        (ready(101.5, http=101.4), "proactive", False, OWN),
        (ready(101.1, http=101.05), "on-demand", True, CHILD),  # clocks differ
        (ready(101.1, http=99.9), "on-demand", True, CHILD),
        (ready(104, http=99.9), "on-demand", True, CHILD),
        (
            ready(101.1, http=100.5),
            "on-demand",
            True,
            CHILD,
        ),  # it took over one
        # A message may have waited for long: only a late one proves something
        (ready(101.5, queue=101.4), "proactive", False, OWN),
        (ready(500, queue=20), "proactive", False, OWN),
        (ready(101.1, queue=20), "on-demand", True, CHILD),
        # Initialised beforehand, as configured, whatever the gap
        (ready(500, "provisioned-concurrency"), "provisioned-concurrency", False, OWN),
        (ready(101, "provisioned-concurrency"), "provisioned-concurrency", False, OWN),
        (ready(101, "lambda-managed-instances"), "lambda-managed-instances", False, OWN),
        # SnapStart: the times are those of the restore
        (ready(101.01, "snap-start", "snap-start"), "snap-start", True, CHILD),
        (ready(160, "snap-start", "snap-start"), "snap-start", False, OWN),
        (Facts("snap-start", "snap-start", requested_ns=at(160)), "snap-start", True, NOWHERE),
        # After a reset
        (ready(101, phase="invoke"), "re-init", True, CHILD),
        (ready(101, "provisioned-concurrency", "invoke"), "re-init", True, CHILD),
        (Facts("provisioned-concurrency", has_failed=True), "provisioned-concurrency", True, CHILD),
        (Facts(has_failed=True), "on-demand", True, CHILD),
        # A word of Lambda that we do not know yet
        (ready(101, "something-new"), "on-demand", True, CHILD),
        # Not the first
        (Facts(phase="invoke", is_first=False), "warm", False, NOWHERE),
        (Facts("snap-start", is_first=False), "warm", False, NOWHERE),
    ],
)
def test_every_kind_of_start_is_told_from_its_evidence(facts: Facts, kind: str, is_cold: bool, place: str) -> None:
    verdict = judge(facts)
    assert (verdict.kind, verdict.is_cold, verdict.place) == (kind, is_cold, place)
    assert verdict.reason


def test_how_long_an_environment_may_have_been_ready_for_its_request_can_be_chosen() -> None:
    facts = ready(104)
    assert judge(facts).kind == "proactive"
    assert judge(facts, proactive_after_ns=10 * SECOND).kind == "on-demand"
    story = Story()
    story.environment.proactive_after_ns = 10 * SECOND
    story.init()
    story.invoked(9_000, "r1", 12_000)
    story.delivered(9_001, "r1", 12_000)
    story.served(9_002)
    assert server_of(story.trace()).attributes["faas.coldstart"] is True


@pytest.mark.parametrize("text", ["", "-5", "1e3", "soon", "٣", "9" * 40])
def test_an_arrival_time_that_is_none_is_no_evidence(text: str) -> None:
    assert arrivals({"arrival.http_ms": text, "arrival.queue_ms": text}) == (0, 0)


WARM = [
    ("fn", "", 9_000, 9_014),
    ("next", "fn", 9_000, 9_001),
    ("handler", "fn", 9_002, 9_012),
    ("response", "fn", 9_012.5, 9_014),
]
OWN_INIT = [
    ("init", "", 0, 100),
    ("extension init", "init", 1, 20),
    ("runtime boot", "init", 6, 12),
    ("load handler", "init", 40, 95),
]


@pytest.mark.parametrize(
    ("init_type", "proactive"),
    [
        ("on-demand", {"coldspan.init.proactive": True}),
        ("provisioned-concurrency", {}),
        ("lambda-managed-instances", {}),
    ],
)
def test_an_init_that_nobody_waited_for_is_a_trace_of_its_own_with_a_link(
    init_type: str, proactive: dict[str, bool]
) -> None:
    story = Story(init_type)
    story.platform(0, "initStart", phase="init", initializationType=init_type)
    story.init()
    story.platform(102, "initReport", phase="init", status="success", metrics={"durationMs": 101.5})
    story.invoked(9_000, "r1", 12_000)
    story.delivered(9_001, "r1", 12_000)
    story.served(9_002)
    spans, init = story.trace(), story.init_trace()
    assert (told(spans), told(init)) == (WARM, OWN_INIT)
    server, root = spans[0], init[0]
    assert server.attributes["faas.coldstart"] is False
    (link,) = server.links
    assert (link.trace_id, link.span_id, link.attributes) == (
        root.trace_id,
        root.span_id,
        {"coldspan.link.type": "init"},
    )
    assert server.trace_id != root.trace_id
    about_init = {name: value for name, value in server.attributes.items() if name.startswith("coldspan.init.")}
    shared = {"coldspan.init.type": init_type, "coldspan.init.phase": "init", **proactive}
    assert about_init == {**shared, "coldspan.init.trace_id": root.trace_id.hex()}
    assert root.attributes == {**shared, "coldspan.phase": "init", "coldspan.init.duration": 0.1015}
    assert "coldspan.overhead.extension" not in server.attributes
    assert server.attributes["coldspan.idle.duration"] == 8.9
    assert story.init_trace() == []


def test_the_second_invocation_of_such_an_environment_is_warm_and_has_no_link() -> None:
    story = Story("provisioned-concurrency")
    story.init()
    for number in (1, 2):
        story.invoked(9_000 * number, f"r{number}", 60_000)
        story.delivered(9_000 * number + 1, f"r{number}", 60_000)
        story.served(9_000 * number + 2)
    _, (second, *_) = story.traces()
    assert second.links == []
    assert not {"coldspan.init.trace_id", "coldspan.init.phase"} & set(second.attributes)


def test_an_inits_own_trace_waits_for_its_report_one_export_long() -> None:
    """Lambda pushes the report after the thaw, often later than the first response."""
    for report_comes in (True, False):
        story = Story("provisioned-concurrency")
        story.init()
        story.invoked(9_000, "r1", 12_000)
        story.delivered(9_001, "r1", 12_000)
        story.served(9_002)
        story.traces()
        assert story.init_trace() == []
        if report_comes:
            story.platform(102, "initReport", phase="init", status="success", metrics={"durationMs": 101.5})
        root, *_ = story.init_trace()
        assert root.attributes.get("coldspan.init.duration") == (0.1015 if report_comes else None)
        assert story.init_trace() == []


def test_an_arrival_time_in_the_event_tells_a_proactive_init_at_once() -> None:
    story = Story()
    story.init()
    story.invoked(500)
    story.delivered(501)
    story.served(502, [("arrival.http_ms", str(1_795_508_392_000 + 490))])
    server = server_of(story.trace())
    assert (server.attributes["faas.coldstart"], server.attributes["coldspan.init.proactive"]) == (False, True)


def test_an_unused_environments_init_is_exported_when_it_ends() -> None:
    story = Story("provisioned-concurrency")
    story.init()
    assert story.init_trace() == []
    story.shut_down(600_000, "spindown")
    assert told(story.init_trace()) == [("init", "", 1, 100), *OWN_INIT[1:]]
    assert story.init_trace() == []


def test_an_own_trace_that_is_not_sampled_is_neither_exported_nor_linked() -> None:
    story = Story("provisioned-concurrency", sampler="parentbased_always_off")
    story.init()
    story.invoked(9_000, "r1", 12_000)
    story.delivered(9_001, "r1", 12_000)
    story.served(9_002, [("header.traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")])
    server = story.trace()[0]
    assert (server.links, story.init_trace()) == ([], [])
    assert "coldspan.init.trace_id" not in server.attributes


HOUR = 3_600_000


def restored_story(hooks_ms: float = 20) -> Story:
    """Published at 0, restored an hour later, served with what `served` takes."""
    story = Story("snap-start")
    story.platform(0, "initStart", phase="snap-start", initializationType="snap-start")
    story.hello()
    story.restored(HOUR + 30, hooks_ms)
    story.platform(HOUR, "restoreStart")
    story.platform(HOUR + 30 + hooks_ms, "restoreRuntimeDone", status="success")
    return story


def test_a_restore_on_the_requests_path_is_its_cold_start_and_init_is_not_in_it() -> None:
    story = restored_story()
    story.invoked(HOUR + 52, "r1", HOUR + 3_000)
    story.delivered(HOUR + 53, "r1", HOUR + 3_000)
    story.served(HOUR + 54)
    spans = story.trace()
    assert told(spans) == [
        ("fn", "", HOUR, HOUR + 66),
        ("restore", "fn", HOUR, HOUR + 50),
        ("next", "fn", HOUR + 52, HOUR + 53),
        ("handler", "fn", HOUR + 54, HOUR + 64),
        ("response", "fn", HOUR + 64.5, HOUR + 66),
        ("restore hooks", "restore", HOUR + 30, HOUR + 50),
    ]
    assert named(spans, "restore").attributes == {"coldspan.phase": "restore", "coldspan.init.type": "snap-start"}
    attributes = server_of(spans).attributes
    assert attributes["faas.coldstart"] is True
    assert not {"coldspan.overhead.extension", "coldspan.init.phase", "coldspan.idle.duration"} & set(attributes)
    story.shut_down(2 * HOUR, "spindown")
    assert story.init_trace() == []


def test_without_telemetry_a_restore_is_seen_from_its_end_on() -> None:
    story = Story("snap-start")
    story.hello()
    story.restored(HOUR, hooks_ms=0.5)
    story.invoked(HOUR + 2, "r1", HOUR + 3_000)
    story.delivered(HOUR + 3, "r1", HOUR + 3_000)
    story.served(HOUR + 4)
    assert told(story.trace())[:2] == [("fn", "", HOUR, HOUR + 16), ("restore", "fn", HOUR, HOUR + 0.5)]


def test_an_environment_restored_ahead_of_its_request_is_linked() -> None:
    story = restored_story()
    story.invoked(HOUR + 9_000, "r1", HOUR + 12_000)
    story.delivered(HOUR + 9_001, "r1", HOUR + 12_000)
    story.served(HOUR + 9_002)
    server = story.trace()[0]
    assert told(story.init_trace()) == [
        ("restore", "", HOUR, HOUR + 50),
        ("restore hooks", "restore", HOUR + 30, HOUR + 50),
    ]
    assert server.attributes["faas.coldstart"] is False
    assert [link.attributes for link in server.links] == [{"coldspan.link.type": "restore"}]


def test_clones_of_one_snapshot_have_traces_of_their_own() -> None:
    """Equal in all that a snapshot has; what makes them differ is their request."""
    ids = set()
    for request_id in ("r1", "r2"):
        story = restored_story()
        story.invoked(HOUR + 52, request_id, HOUR + 3_000)
        story.delivered(HOUR + 53, request_id, HOUR + 3_000)
        story.served(HOUR + 54)
        ids |= {span.span_id for span in story.trace()}
    assert len(ids) == 12


def test_a_reinit_is_on_the_path_of_a_provisioned_environments_request_too() -> None:
    story = Story("provisioned-concurrency")
    story.platform(0, "initStart", phase="invoke", initializationType="provisioned-concurrency")
    story.init()
    story.invoked(102)
    story.delivered(104)
    story.served(105)
    spans = story.trace()
    assert named(spans, "init").attributes["coldspan.init.phase"] == "invoke"
    assert server_of(spans).attributes["coldspan.init.phase"] == "invoke"
    assert server_of(spans).attributes["faas.coldstart"] is True
