"""What a run leaves in files: the page with its traces, and its import tree for other viewers."""

from collections.abc import Sequence
from pathlib import Path

from coldspan_lab.errors import NothingToExport, OutputUnwritable
from coldspan_report import exports
from coldspan_report.page.trace_page import trace_page
from coldspan_report.traces import Trace


def write_page(file: Path, traces: Sequence[Trace], function: str) -> None:
    """Raises OutputUnwritable."""
    _write(file, trace_page(traces, f"coldspan: {function}"))


def write_export(file: Path, of_format: str, traces: Sequence[Trace]) -> None:
    """Of the first cold start. Raises NothingToExport, OutputUnwritable."""
    trace = exports.first_cold_start(traces)
    if trace is None:
        raise NothingToExport(f"{file} is not written: no cold start of this run has imports")
    _write(file, exports.FORMATS[of_format](trace))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputUnwritable(f"{file} cannot be written: {error.strerror}") from error
