"""What can go wrong with a report, by whose fault."""


class ReportError(Exception):
    """There is nothing to report; the message says what was tried."""


class NothingFound(ReportError):
    """The sources were read, and no span was left."""


class SourceInvalid(ReportError):
    """A source that is not there, or is no source: the caller's mistake."""


class ServerFailed(ReportError):
    """A server that could not be reached, or refused."""


class EngineFailed(ReportError):
    """DuckDB gave up: a file that ends early, a full disk."""
