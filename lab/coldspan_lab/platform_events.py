"""The Telemetry API's platform events, field by field, and the log lines that Lambda prints for them. Pure."""

import json
import math
from typing import Any

from coldspan_lab import clock
from coldspan_lab.invocation import Invocation, tracing
from coldspan_lab.model import VERSION, Function, TelemetryEvent

INITIALIZATION_TYPE = "on-demand"


def event(kind: str, record: "dict[str, Any] | str", at_unix_ns: int) -> TelemetryEvent:
    return {"time": clock.iso(at_unix_ns), "type": kind, "record": record}


def span(name: str, start_ns: int, end_ns: int) -> dict[str, Any]:
    start = clock.iso(clock.unix_ns(start_ns))
    return {"name": name, "start": start, "durationMs": clock.duration_ms(start_ns, end_ns)}


def init_start(function: Function, phase: str, runtime_version: str, instance_id: str) -> dict[str, Any]:
    return {
        "initializationType": INITIALIZATION_TYPE,
        "phase": phase,
        "runtimeVersion": runtime_version,
        "runtimeVersionArn": "",
        "functionName": function.name,
        "functionArn": function.arn,
        "functionVersion": VERSION,
        "instanceId": instance_id,
        "instanceMaxMemory": function.memory_mb,
    }


def init_runtime_done(phase: str, status: str, error_type: str | None) -> dict[str, Any]:
    return _with_error_type({"initializationType": INITIALIZATION_TYPE, "status": status, "phase": phase}, error_type)


def init_report(phase: str, status: str, error_type: str | None, duration_ms: float) -> dict[str, Any]:
    record = {"initializationType": INITIALIZATION_TYPE, "phase": phase, "status": status}
    return _with_error_type({**record, "metrics": {"durationMs": duration_ms}}, error_type)


def extension(name: str, state: str, events: list[str], error_type: str | None) -> dict[str, Any]:
    return _with_error_type({"name": name, "state": state, "events": events}, error_type)


def start(invocation: Invocation) -> dict[str, Any]:
    return {"requestId": invocation.request_id, "version": VERSION, **_about_the_call(invocation)}


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
    init_duration_ms: float | None,
) -> dict[str, Any]:
    """`init_duration_ms`: of the initialisation that this invocation is billed for too, its environment's first."""
    duration_ms = clock.duration_ms(invocation.began_ns, end_ns)
    metrics: dict[str, Any] = {
        "durationMs": duration_ms,
        "billedDurationMs": math.ceil(duration_ms + (init_duration_ms or 0)),
        "memorySizeMB": memory_mb,
        "maxMemoryUsedMB": max_memory_used_mb,
    }
    if init_duration_ms is not None:
        metrics["initDurationMs"] = init_duration_ms
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
        case "platform.initReport" if record["status"] != "success":
            duration = record["metrics"]["durationMs"]
            line = f"INIT_REPORT Init Duration: {duration:.2f} ms\tPhase: {record['phase']}\tStatus: {record['status']}"
            return line + _error_type_field(record)
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
    if record["status"] != "success":
        fields.append(f"Status: {record['status']}{_error_type_field(record)}")
    return "\t".join(fields) + "\t"


def _error_type_field(record: dict[str, Any]) -> str:
    return f"\tError Type: {record['errorType']}" if "errorType" in record else ""


def _with_error_type(record: dict[str, Any], error_type: str | None) -> dict[str, Any]:
    if error_type is not None:
        record["errorType"] = error_type
    return record
