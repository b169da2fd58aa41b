"""Whether a trace is exported: the six standard samplers, as OpenTelemetry's SDK decides them."""

from coldspan_extension.context import Parent

_MASK = (1 << 64) - 1


def is_sampled(sampler: str, ratio: float, trace_id: bytes, parent: "Parent | None") -> bool:
    """`sampler` and `ratio` are OTEL_TRACES_SAMPLER and its argument. A parent-based sampler follows the parent."""
    if sampler.startswith("parentbased_"):
        if parent is not None:
            return parent.sampled
        sampler = sampler.removeprefix("parentbased_")
    if sampler == "traceidratio":
        return int.from_bytes(trace_id, "big") & _MASK < round(ratio * (1 << 64))
    return sampler == "always_on"
