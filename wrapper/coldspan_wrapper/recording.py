"""The recorder of this process, from the environment: one way to begin for whoever runs the handler."""

import os

from coldspan_wrapper import records
from coldspan_wrapper.channel import Channel
from coldspan_wrapper.recorder import Recorder


def start(clocks: "tuple[int, int, int]") -> Recorder:
    """Says hello. `clocks` are those of the process's first line (monotonic, real time, CPU time, ns)."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Recorder(None)
    recorder = Recorder(Channel(records.channel_path(os.environ.get("COLDSPAN_CHANNEL", ""))))
    recorder.hello(*clocks)
    if _is_on("COLDSPAN_IMPORTS"):
        recorder.observe_imports(samples=_is_on("COLDSPAN_MODULE_BODY"))
    return recorder


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() != "off"
