"""A run: the function under the local Lambda service, invoked once for each payload, and the spans that it led to."""

import asyncio
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
    payloads: tuple[bytes, ...]
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
    """Raises LabError (InterpreterInvalid and RuntimeClientMissing before anything else), BuildError, Interrupted."""
    interpreter = asyncio.run(inspect(plan.function.python))
    layer = plan.layer
    if layer is None:
        with progress.doing(f"Preparing the layer for Python {interpreter.version}, which is built once"):
            layer = tree_cache.layer_tree(tree_cache.cache_folder(), interpreter.version)
    collected = signals.run(_run(replace(plan, layer=layer), progress))
    if not collected.exports:
        progress.say("No spans came from the layer; what it said about that is above")
    return collected


async def _run(plan: Plan, progress: Progress) -> Collected:
    forwarder = Forwarder(plan.otlp, progress.say) if plan.otlp is not None else None
    async with Collector(forwarder, Faults.named(plan.faults).hindrance) as collector:
        await _invoke(plan, collector.endpoint, progress)
    if forwarder is not None:
        with progress.doing(f"Forwarding to {forwarder.url}"):
            await asyncio.to_thread(forwarder.finish)
        progress.say(f"{forwarder.delivered} of {len(collector.exports)} exports forwarded to {forwarder.url}")
    return Collected(collector.url, collector.exports)


async def _invoke(plan: Plan, endpoint: str, progress: Progress) -> None:
    """One after the other. The layer's last export comes when the environment shuts down, before this returns."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **plan.function.environment}
    function = replace(plan.function, environment=environment)
    async with LocalLambda(function, layer=plan.layer, faults=plan.faults, on_log=progress.log) as service:
        for number, payload in enumerate(plan.payloads, 1):
            name = f"Invocation {number} of {len(plan.payloads)}"
            with progress.doing(name):
                answer = await service.invoke(payload)
            progress.answered(name, answer)
