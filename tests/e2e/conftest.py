from coldspan_testing.callers import curl
from coldspan_testing.runs import start_run
from coldspan_testing.shapes import run_source

__all__ = ["curl", "run_source", "start_run"]
