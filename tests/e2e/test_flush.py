"""When traces go out, in whole runs: each policy and lane, at the end of an invocation, beside one, at SHUTDOWN."""

import statistics
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from coldspan_lab.service import InitType, Moment
from coldspan_testing import certificates, trees
from coldspan_testing.http_peer import OK, HttpPeer
from coldspan_testing.otlp_receiver import Refuse, spans_of
from coldspan_testing.runs import SERVER, Run, StartRun
from coldspan_testing.shapes import RunSource

ECHO = """
import time
def handler(event, context):
    time.sleep(event)
    return event
"""


def invoke(run: Run, *events: object) -> None:
    for event in events:
        assert run.lab.invoke(event).function_error is None
        run.lab.wait_frozen()


def after_responses(run: Run) -> list[str]:
    return [run.child(server, "after response").span.name for server in run.servers]


def test_end_exports_before_the_environment_freezes_whatever_the_rate(start_run: StartRun) -> None:
    run = start_run(COLDSPAN_FLUSH="end")
    for count in range(1, 7):
        invoke(run, count)
        assert len(run.servers) == count


def test_deferred_exports_nothing_until_something_is_due(start_run: StartRun) -> None:
    run = start_run(COLDSPAN_FLUSH="deferred")
    invoke(run, 1, 2, 3)
    assert run.receiver.requests == []
    run.close()
    assert len(run.servers) == 3
    assert len(run.receiver.requests) == 1
    assert len(after_responses(run)) == 3


def test_deferred_exports_what_is_due_beside_a_later_handler(run_source: RunSource) -> None:
    run = run_source(ECHO, COLDSPAN_FLUSH="deferred", OTEL_BSP_SCHEDULE_DELAY="1")
    invoke(run, 0)
    assert run.receiver.requests == []
    invoke(run, 1)
    (request,) = run.receiver.requests
    out = [mark.time_unix_ns for mark in run.lab.timeline if mark.what is Moment.RESPONSE_ACCEPTED]
    assert out[0] < request.time_unix_ns < out[1]
    run.close()
    assert len(after_responses(run)) == 2


def test_adaptive_exports_the_first_at_once_and_those_of_a_burst_together(start_run: StartRun) -> None:
    run = start_run()
    invoke(run, 1)
    assert len(run.servers) == 1
    invoke(run, *range(9))
    assert len(run.servers) < 6
    run.close()
    assert len(run.servers) == 10
    assert len(run.receiver.requests) < 8
    assert len(after_responses(run)) == 10


def test_in_a_burst_the_environment_is_free_when_the_response_is_out(run_source: RunSource) -> None:
    run = run_source(ECHO)
    invoke(run, *[0.02] * 8)
    assert statistics.median(run.held_ns[4:]) < run.held_ns[0] / 2


@pytest.mark.parametrize("flush", ["end", "deferred", "adaptive"])
def test_a_crash_in_the_middle_of_a_burst_loses_nothing(run_source: RunSource, flush: str) -> None:
    run = run_source("import os\ndef handler(event, context):\n    if event: os._exit(3)", COLDSPAN_FLUSH=flush)
    for event in (0, 0, 0, 0, 0, 1, 0):
        run.lab.invoke(event)
        run.lab.wait_frozen()
    run.close()
    assert [server.attributes.get("error.type", "") for server in run.servers] == ["", "", "", "", "", DIED, ""]
    assert len({server.span.span_id for server in run.servers}) == 7


DIED = "Runtime.ExitError"


@pytest.mark.parametrize("lane", ["sdk", "lean"])
def test_what_a_collector_refuses_for_now_is_tried_again_at_shutdown(start_run: StartRun, lane: str) -> None:
    run = start_run(answers=(Refuse(503),) * 2, COLDSPAN_FLUSH="deferred", COLDSPAN_EXPORTER=lane)
    invoke(run, 1)
    run.close()
    assert len(run.servers) == 1
    assert run.logged("spans_dropped") == []


@pytest.mark.parametrize("lane", ["sdk", "lean"])
def test_each_lane_sends_whole_traces(start_run: StartRun, lane: str) -> None:
    run = start_run(COLDSPAN_EXPORTER=lane)
    invoke(run, 1, 2)
    run.close()
    assert len(after_responses(run)) == 2
    agents = {request.headers["user-agent"].split("/")[0] for request in run.receiver.requests}
    assert agents == {{"sdk": "OTel-OTLP-Exporter-Python", "lean": "coldspan"}[lane]}


def test_a_layer_without_dependencies_sends_whole_traces_and_says_what_it_cannot_do(start_run: StartRun) -> None:
    run = start_run(layer=trees.layer_tree("3.11", lean_only=True), COLDSPAN_EXPORTER="sdk")
    invoke(run, 1, 2)
    run.close()
    assert len(after_responses(run)) == 2
    (said,) = run.logged("exporter_chosen")
    assert said["exporter"] == "lean"


def test_where_nobody_waits_for_init_the_sdk_lane_is_loaded_by_then(run_source: RunSource) -> None:
    """Only the telemetry of 512 MB and more: below, memory counts."""
    run = run_source(ECHO, init_type=InitType.PROVISIONED_CONCURRENCY, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="1024")
    loading = run_source(ECHO, COLDSPAN_EXPORTER="sdk")
    for each in (run, loading):
        invoke(each, 0)
        each.close()
        agents = {request.headers["user-agent"].split("/")[0] for request in each.receiver.requests}
        assert agents == {"OTel-OTLP-Exporter-Python"}
    assert run.held_ns[0] < loading.held_ns[0] / 2


def test_what_the_lean_lane_cannot_do_goes_to_the_other_and_is_said_once(start_run: StartRun) -> None:
    run = start_run(COLDSPAN_EXPORTER="lean", ALL_PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1")
    invoke(run, 1, 2)
    run.close()
    (said,) = run.logged("exporter_chosen")
    assert (said["exporter"], said["reason"]) == ("sdk", "the lean lane cannot do this: a proxy, ALL_PROXY")
    assert len(run.servers) == 2


def test_https_is_verified_with_the_users_own_authority(start_run: StartRun, tmp_path: Path) -> None:
    authority = certificates.authority(tmp_path)
    with HttpPeer([[OK]] * 4, certificates.server_context(tmp_path, "DNS:localhost")) as peer:
        run = start_run(endpoint="", COLDSPAN_ENDPOINT=peer.url, OTEL_EXPORTER_OTLP_CERTIFICATE=str(authority))
        invoke(run, 1, 2)
        run.close()
    assert run.logged("export_failed") == []
    sent = [span for _, _, body in peer.requests for span in spans_of(ExportTraceServiceRequest.FromString(body))]
    assert len([span for span in sent if span.span.kind == SERVER]) == 2
    assert peer.resumed[:2] == [False, True]
