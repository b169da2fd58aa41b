from coldspan_testing.runs import start_run

__all__ = ["start_run"]
