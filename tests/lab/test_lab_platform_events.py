"""The log lines that Lambda prints for platform events."""

from typing import Any

import pytest

from coldspan_lab.model import InitType
from coldspan_lab.platform_events import event, init_report, log_line

REPORT = {
    "requestId": "8f5",
    "metrics": {
        "durationMs": 3000.0,
        "billedDurationMs": 3403,
        "memorySizeMB": 128,
        "maxMemoryUsedMB": 73,
        "initDurationMs": 402.04,
    },
    "status": "timeout",
}
REPORT_LINES = (
    "END RequestId: 8f5\n"
    "REPORT RequestId: 8f5\tDuration: 3000.00 ms\tBilled Duration: 3403 ms\tMemory Size: 128 MB\t"
    "Max Memory Used: 73 MB\tInit Duration: 402.04 ms\tStatus: timeout\t"
)


@pytest.mark.parametrize(
    ("kind", "record", "line"),
    [
        ("start", {"requestId": "8f5", "version": "$LATEST"}, "START RequestId: 8f5 Version: $LATEST"),
        (
            "extension",
            {"name": "x", "state": "LaunchError", "events": [], "errorType": "PermissionDenied"},
            "EXTENSION\tName: x\tState: LaunchError\tEvents: []\tError Type: PermissionDenied",
        ),
        (
            "telemetrySubscription",
            {"name": "x", "state": "Subscribed", "types": ["platform", "function"]},
            "TELEMETRY\tName: x\tState: Subscribed\tTypes: [Platform, Function]",
        ),
        (
            "initReport",
            {"status": "timeout", "phase": "init", "metrics": {"durationMs": 9999.79}},
            "INIT_REPORT Init Duration: 9999.79 ms\tPhase: init\tStatus: timeout",
        ),
        ("initReport", init_report(InitType.ON_DEMAND, "init", "success", None, 1), None),
        ("initReport", init_report(InitType.PROACTIVE, "init", "success", None, 1), None),
        (
            "initReport",
            init_report(InitType.PROVISIONED_CONCURRENCY, "init", "success", None, 1.256),
            "INIT_REPORT Init Duration: 1.26 ms\tPhase: init",
        ),
        (
            "initReport",
            init_report(InitType.SNAP_START, "init", "error", "Runtime.BeforeSnapshotError", 1),
            "INIT_REPORT Init Duration: 1.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.BeforeSnapshotError",
        ),
        ("restoreRuntimeDone", {"status": "success"}, None),
        (
            "restoreReport",
            {"status": "timeout", "metrics": {"durationMs": 1236.04}},
            "RESTORE_REPORT Restore Duration: 1236.04 ms\tStatus: timeout",
        ),
        ("runtimeDone", {"requestId": "8f5", "status": "success"}, None),
        (
            "report",
            REPORT,
            REPORT_LINES,
        ),
    ],
)
def test_a_platform_event_has_lambdas_log_line(kind: str, record: dict[str, Any], line: str | None) -> None:
    assert log_line(event(f"platform.{kind}", record, 0), "Text") == line


def test_in_json_format_the_event_is_the_line_with_its_time_cut_to_milliseconds() -> None:
    assert log_line(event("platform.start", {"requestId": "8f5"}, 1_795_508_545_469_999_999), "JSON") == (
        '{"time": "2026-11-24T08:22:25.469Z", "type": "platform.start", "record": {"requestId": "8f5"}}'
    )
