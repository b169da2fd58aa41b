"""The Telemetry API's platform events, field by field, and the log lines that Lambda prints for them. Pure."""

import json
import math
from dataclasses import dataclass
from typing import Any

from coldspan_lab import clock
from coldspan_lab.invocation import Invocation, tracing
from coldspan_lab.model import Function, InitType, TelemetryEvent

INIT_ALWAYS_LOGGED = (InitType.PROVISIONED_CONCURRENCY.value, InitType.SNAP_START.value)
"""Of other inits only the failed ones get a line."""


@dataclass(frozen=True, slots=True)
class StartDuration:
    """What an environment's start took, for the report of its first invocation."""

    metric: str
    """initDurationMs or restoreDurationMs."""
    duration_ms: float
    billed: bool
    """As a part of the invocation's duration; a restore and provisioned concurrency are billed otherwise."""


def event(kind: str, record: "dict[str, Any] | str", at_unix_ns: int) -> TelemetryEvent:
    return {"time": clock.iso(at_unix_ns), "type": kind, "record": record}


def span(name: str, start_ns: int, end_ns: int) -> dict[str, Any]:
    start = clock.iso(clock.unix_ns(start_ns))
    return {"name": name, "start": start, "durationMs": clock.duration_ms(start_ns, end_ns)}


def init_start(function: Function, phase: str, runtime_version: str, instance_id: str) -> dict[str, Any]:
    return {
        "initializationType": function.init_type.reported,
        "phase": phase,
        **restore_start(function, runtime_version, instance_id),
        "functionArn": function.arn,
    }


def init_runtime_done(init_type: InitType, phase: str, status: str, error_type: str | None) -> dict[str, Any]:
    return _with_error_type({"initializationType": init_type.reported, "status": status, "phase": phase}, error_type)


def init_report(
    init_type: InitType, phase: str, status: str, error_type: str | None, duration_ms: float
) -> dict[str, Any]:
    record = {"initializationType": init_type.reported, "phase": phase, "status": status}
    return _with_error_type({**record, "metrics": {"durationMs": duration_ms}}, error_type)


def restore_start(function: Function, runtime_version: str, instance_id: str) -> dict[str, Any]:
    return {
        "runtimeVersion": runtime_version,
        "runtimeVersionArn": "",
        "functionName": function.name,
        "functionVersion": function.version,
        "instanceId": instance_id,
        "instanceMaxMemory": function.memory_mb,
    }


def restore_runtime_done(status: str, error_type: str | None) -> dict[str, Any]:
    return _with_error_type({"status": status}, error_type)


def restore_report(status: str, error_type: str | None, duration_ms: float) -> dict[str, Any]:
    return _with_error_type({"status": status, "metrics": {"durationMs": duration_ms}}, error_type)


def extension(name: str, state: str, events: list[str], error_type: str | None) -> dict[str, Any]:
    return _with_error_type({"name": name, "state": state, "events": events}, error_type)


def start(invocation: Invocation, version: str) -> dict[str, Any]:
    return {"requestId": invocation.request_id, "version": version, **_about_the_call(invocation)}


def fault(invocation: Invocation, error_type: str, message: str) -> str:
    return f"RequestId: {invocation.request_id} Error: {message}\n{error_type}\n"


def runtime_done(invocation: Invocation, status: str, error_type: str | None, until_ns: int) -> dict[str, Any]:
    """`until_ns`: when the runtime asked for next, or what kept it from doing so."""
    duration_ms = clock.duration_ms(invocation.sent_ns, until_ns) if invocation.sent_ns else 0.0
    record: dict[str, Any] = {"requestId": invocation.request_id, "status": status}
    _with_error_type(record, error_type)
    record["metrics"] = {"durationMs": duration_ms, "producedBytes": invocation.produced_bytes}
    if invocation.response_read_ns:  # not of an error that the runtime reported
        record["spans"] = [
            span("responseLatency", invocation.sent_ns, invocation.response_began_ns),
            span("responseDuration", invocation.response_began_ns, invocation.response_read_ns),
        ]
        if invocation.runtime_ready_ns:
            overhead = span("runtimeOverhead", invocation.response_sent_ns, invocation.runtime_ready_ns)
            record["spans"].append(overhead)
    return record | _about_the_call(invocation)


def report(
    invocation: Invocation,
    status: str,
    error_type: str | None,
    *,
    end_ns: int,
    memory_mb: int,
    max_memory_used_mb: int,
    environment_start: StartDuration | None,
) -> dict[str, Any]:
    duration_ms = clock.duration_ms(invocation.began_ns, end_ns)
    metrics: dict[str, Any] = {
        "durationMs": duration_ms,
        "billedDurationMs": math.ceil(duration_ms),
        "memorySizeMB": memory_mb,
        "maxMemoryUsedMB": max_memory_used_mb,
    }
    if environment_start is not None:
        metrics[environment_start.metric] = environment_start.duration_ms
        if environment_start.billed:
            metrics["billedDurationMs"] = math.ceil(duration_ms + environment_start.duration_ms)
    record: dict[str, Any] = {"requestId": invocation.request_id, "metrics": metrics, "status": status}
    _with_error_type(record, error_type)
    if invocation.extensions_ready_ns:
        overhead = span("extensionOverhead", invocation.runtime_ready_ns, invocation.extensions_ready_ns)
        record["spans"] = [overhead]
    return record | _about_the_call(invocation)


def telemetry_subscription(name: str, state: str, types: list[str]) -> dict[str, Any]:
    return {"name": name, "state": state, "types": types}


def logs_dropped(reason: str, records: int, size: int) -> dict[str, Any]:
    return {"reason": reason, "droppedRecords": records, "droppedBytes": size}


def log_line(event: TelemetryEvent, log_format: str) -> str | None:
    """The line that the function's log gets for a platform event, or None where it gets none."""
    if log_format == "JSON":
        return json.dumps(event)
    record = event["record"]
    match event["type"]:
        case "platform.initStart":
            return f"INIT_START Runtime Version: {record['runtimeVersion']}\tRuntime Version ARN: "
        case "platform.extension":
            events = ", ".join(record["events"])
            line = f"EXTENSION\tName: {record['name']}\tState: {record['state']}\tEvents: [{events}]"
            return line + _error_type_field(record)
        case "platform.telemetrySubscription":
            types = ", ".join(each.capitalize() for each in record["types"])
            return f"TELEMETRY\tName: {record['name']}\tState: {record['state']}\tTypes: [{types}]"
        case "platform.initReport" if (
            record["status"] != "success" or record["initializationType"] in INIT_ALWAYS_LOGGED
        ):
            duration = record["metrics"]["durationMs"]
            return f"INIT_REPORT Init Duration: {duration:.2f} ms\tPhase: {record['phase']}{_status_fields(record)}"
        case "platform.restoreStart":
            return f"RESTORE_START Runtime Version: {record['runtimeVersion']}\tRuntime Version ARN: "
        case "platform.restoreReport":
            return f"RESTORE_REPORT Restore Duration: {record['metrics']['durationMs']:.2f} ms{_status_fields(record)}"
        case "platform.start":
            return f"START RequestId: {record['requestId']} Version: {record['version']}"
        case "platform.report":
            return f"END RequestId: {record['requestId']}\n{_report_line(record)}"
    return None


def _about_the_call(invocation: Invocation) -> dict[str, Any]:
    record: dict[str, Any] = {"tracing": tracing(invocation)}
    if invocation.call.tenant_id is not None:
        record["tenantId"] = invocation.call.tenant_id
    return record


def _report_line(record: dict[str, Any]) -> str:
    metrics = record["metrics"]
    fields = [
        f"REPORT RequestId: {record['requestId']}",
        f"Duration: {metrics['durationMs']:.2f} ms",
        f"Billed Duration: {metrics['billedDurationMs']} ms",
        f"Memory Size: {metrics['memorySizeMB']} MB",
        f"Max Memory Used: {metrics['maxMemoryUsedMB']} MB",
    ]
    if "initDurationMs" in metrics:
        fields.append(f"Init Duration: {metrics['initDurationMs']:.2f} ms")
    if "restoreDurationMs" in metrics:
        duration = metrics["restoreDurationMs"]
        fields += [f"Restore Duration: {duration:.2f} ms", f"Billed Restore Duration: {math.ceil(duration)} ms"]
    return "\t".join(fields) + _status_fields(record) + "\t"


def _status_fields(record: dict[str, Any]) -> str:
    """Of what did not succeed."""
    return f"\tStatus: {record['status']}{_error_type_field(record)}" if record["status"] != "success" else ""


def _error_type_field(record: dict[str, Any]) -> str:
    return f"\tError Type: {record['errorType']}" if "errorType" in record else ""


def _with_error_type(record: dict[str, Any], error_type: str | None) -> dict[str, Any]:
    if error_type is not None:
        record["errorType"] = error_type
    return record
