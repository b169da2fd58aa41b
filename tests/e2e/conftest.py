from coldspan_testing.runs import start_run
from coldspan_testing.shapes import run_source

__all__ = ["run_source", "start_run"]
