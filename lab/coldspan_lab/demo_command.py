"""`coldspan demo`: the sample function under the lab, one cold invocation and two warm ones, and a start that fails."""

import importlib.util
import shlex
import shutil
import sys
from pathlib import Path

from coldspan_lab import outputs, tree_cache
from coldspan_lab import run as lab_run
from coldspan_lab.screen import Progress, show
from coldspan_lab.service import Function

DEMO = Path(__file__).parent / "demo"
FUNCTION = DEMO / "function"
BROKEN = DEMO / "broken"
EVENT = DEMO / "events" / "get-download.json"
INVOCATIONS = 3


def run(page: Path | None) -> None:
    """The page is in the cache where none is named: one place, whichever folder this is called from. Raises what a run
    raises, OutputUnwritable, and ModuleNotFoundError without the sample function's boto3."""
    if importlib.util.find_spec("boto3") is None:
        raise ModuleNotFoundError(name="boto3")
    progress, event = Progress(sys.stderr), EVENT.read_bytes()
    collected = lab_run.run(lab_run.Plan(Function(FUNCTION, name="downloads"), (event,) * INVOCATIONS), progress)
    traces = collected.traces()
    show(traces, sys.stdout)
    sys.stdout.write("A start that fails: the same function after a change that did not ship what it imports.\n\n")
    failed = lab_run.run(lab_run.Plan(Function(BROKEN, name="downloads"), (event,)), progress).traces()
    show(failed, sys.stdout)
    page = page or tree_cache.cache_folder() / "demo.html"
    outputs.write_page(page, [*traces, *failed], "downloads")
    spans = sum(len(trace.rows) for trace in traces)
    command = "coldspan" if shutil.which("coldspan") else sys.argv[0]
    to_jaeger = [command, "run", "--otlp", "http://localhost:4318", "--event", EVENT, "-n", INVOCATIONS, FUNCTION]
    sys.stdout.write(
        f"The layer sent the first {len(traces)} traces, {spans} spans in {len(collected.exports)} exports, to "
        f"{collected.url}, this run's own collector.\nTo send such traces to a Jaeger:\n\n"
        f"  {shlex.join(map(str, to_jaeger))}\n\n"
        f"All of it as a page, to open in a browser: {page.resolve().as_uri()}\n"
    )
