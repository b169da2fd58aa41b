"""What can keep the benchmark from measuring."""


class Unavailable(Exception):
    """A configuration or a situation cannot be measured here; the message says why."""


class RunFailed(Exception):
    """An environment did not live through its run; the message says what happened, with the end of its log."""
