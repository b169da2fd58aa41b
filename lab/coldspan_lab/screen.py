"""What a person sees of a run: its results on stdout, everything else on stderr."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.text import Text

from coldspan_lab.model import Answer, LogLine
from coldspan_report.otlp import ExportTraceServiceRequest
from coldspan_report.traces import SERVER, Trace, spans_of, traces_of
from coldspan_report.waterfall import waterfall

PIPED_WIDTH = 100
SHOWN_PAYLOAD = 200
"""Characters of an answer's payload."""


def console(stream: TextIO) -> Console:
    """Plain text of PIPED_WIDTH columns where the stream is no terminal."""
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def show(traces: Iterable[Trace], stream: TextIO) -> None:
    """The waterfalls, as wide as the stream is."""
    screen = console(stream)
    for trace in traces:
        screen.print(waterfall(trace, screen.width), soft_wrap=True)


def show_export(export: ExportTraceServiceRequest, stream: TextIO) -> None:
    """What is whole in one export. `after response` comes with a later one than its trace, and is left out."""
    traces = traces_of(spans_of(export))
    show((trace for trace in traces if trace.root.kind == SERVER or not trace.root.parent_span_id), stream)
    stream.flush()


class Progress:
    """For stderr, while the run is on."""

    def __init__(self, stream: TextIO) -> None:
        self._console = console(stream)

    def say(self, text: str) -> None:
        self._print(Text(text))

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Shown as long as it takes; where there is no terminal, as one line."""
        if self._console.is_terminal:
            with self._console.status(Text(f"{what} ...")):
                yield
        else:
            self.say(f"{what} ...")
            yield

    def log(self, line: LogLine) -> None:
        """Lambda's own lines are left out: what they tell is in the answers and the traces."""
        if line.source != "platform":
            # The runtime client joins the lines of a traceback by carriage returns, so that it is one entry of the log.
            for text in line.text.split("\r"):
                self._print(Text(f"  {line.source:<9} | {text}", style="dim"))

    def answered(self, name: str, answer: Answer) -> None:
        text = Text(f"{name}: {answer.status} ")
        if answer.function_error is not None:
            text.append(f"{answer.function_error} ", style="red")
        payload = answer.payload.decode("utf-8", "replace")
        text.append(payload if len(payload) <= SHOWN_PAYLOAD else f"{payload[:SHOWN_PAYLOAD]}...")
        self._print(text)

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
