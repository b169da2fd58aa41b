"""The function under the local Lambda service, and the spans that it leads to: invoked once for each payload of a run,
or served until the user has enough."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from coldspan_lab import signals, tree_cache
from coldspan_lab.collector import Collector
from coldspan_lab.faults import Faults
from coldspan_lab.forwarder import Forwarder
from coldspan_lab.interpreter import inspect
from coldspan_lab.screen import Progress
from coldspan_lab.service import Function, LocalLambda
from coldspan_report.otlp import ExportTraceServiceRequest
from coldspan_report.traces import Trace, spans_of, traces_of


@dataclass(frozen=True, slots=True)
class Plan:
    function: Function
    payloads: tuple[bytes, ...] = ()
    """Of a run."""
    layer: Path | None = None
    """The layer's tree; None for the one of this coldspan, from the cache."""
    otlp: str | None = None
    """Base URL of the collector that gets the exports, too."""
    faults: tuple[str, ...] = ()
    """Names of faults.FAULTS."""


@dataclass(frozen=True, slots=True)
class Collected:
    url: str
    """Where the layer sent them."""
    exports: list[ExportTraceServiceRequest]

    def traces(self) -> list[Trace]:
        return traces_of(span for export in self.exports for span in spans_of(export))


def run(plan: Plan, progress: Progress) -> Collected:
    """Raises LabError (InterpreterInvalid before anything else), BuildError, Interrupted."""
    collected = signals.run(_run(_with_layer(plan, progress), progress))
    if not collected.exports:
        progress.say("No spans came from the layer; what it said about that is above")
    return collected


def serve(plan: Plan, port: int, progress: Progress, on_export: Callable[[ExportTraceServiceRequest], None]) -> None:
    """Until a signal comes. Raises as `run` does."""
    signals.run(_serve(_with_layer(plan, progress), port, progress, on_export))


def _with_layer(plan: Plan, progress: Progress) -> Plan:
    interpreter = asyncio.run(inspect(plan.function.python))
    if plan.layer is not None:
        return plan
    with progress.doing(f"Preparing the layer for Python {interpreter.version}, which is built once"):
        return replace(plan, layer=tree_cache.layer_tree(tree_cache.cache_folder(), interpreter.version))


async def _run(plan: Plan, progress: Progress) -> Collected:
    async with _collecting(plan, progress) as collector, _service(plan, collector, progress) as service:
        for number, payload in enumerate(plan.payloads, 1):
            name = f"Invocation {number} of {len(plan.payloads)}"
            with progress.doing(name):
                answer = await service.invoke(payload)
            progress.answered(name, answer)
    return Collected(collector.url, collector.exports)


async def _serve(
    plan: Plan, port: int, progress: Progress, on_export: Callable[[ExportTraceServiceRequest], None]
) -> None:
    async with (
        _collecting(plan, progress, on_export) as collector,
        _service(plan, collector, progress, port) as service,
    ):
        progress.say(f"Function URL  {service.endpoint}/")
        progress.say(f"Invoke API    {service.endpoint}  (function name: {plan.function.name})")
        with suppress(asyncio.CancelledError):  # by a signal, which is how serving ends
            await asyncio.get_running_loop().create_future()


@asynccontextmanager
async def _collecting(
    plan: Plan, progress: Progress, on_export: Callable[[ExportTraceServiceRequest], None] | None = None
) -> AsyncIterator[Collector]:
    """The collector, and what is forwarded from it: at the end, all of it."""
    forwarder = Forwarder(plan.otlp, progress.say) if plan.otlp is not None else None
    async with Collector(forwarder, Faults.named(plan.faults).hindrance, on_export) as collector:
        yield collector
    if forwarder is not None:
        with progress.doing(f"Forwarding to {forwarder.url}"):
            await asyncio.to_thread(forwarder.finish)
        progress.say(f"{forwarder.delivered} of {len(collector.exports)} exports forwarded to {forwarder.url}")


def _service(plan: Plan, collector: Collector, progress: Progress, port: int = 0) -> LocalLambda:
    """The layer's last export comes when the environment shuts down, before the service's `async with` is left."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, **plan.function.environment}
    function = replace(plan.function, environment=environment)
    return LocalLambda(function, layer=plan.layer, faults=plan.faults, port=port, on_log=progress.log)
