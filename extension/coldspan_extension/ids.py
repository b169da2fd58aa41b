"""Trace and span ids from the request, so that whoever knows the request knows the ids, and a retried export keeps
them. The deadline tells the retries of an asynchronous invocation apart: they share the request id."""

import posix as os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

try:
    if sys.version_info >= (3, 12):
        from _sha2 import sha256  # the C type itself: hashlib loads OpenSSL
    else:
        from _sha256 import sha256  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha256

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8


class Ids:
    """Ids of one trace: that of an invocation, unless random_ids() made it."""

    def __init__(self, request_id: str, deadline_ms: int) -> None:
        """`deadline_ms` 0 stands for an unknown deadline."""
        self._prefix = f"{request_id}|{deadline_ms or ''}|"

    def trace(self) -> bytes:
        return self._digest("trace")[:TRACE_ID_BYTES]

    def span(self, label: str) -> bytes:
        """`label` is a phase's name, or `<parent label>/<name>#<n>` for what is below one."""
        return self._digest(label)[:SPAN_ID_BYTES]

    def _digest(self, label: str) -> bytes:
        digest: bytes = sha256((self._prefix + label).encode("ascii", "backslashreplace")).digest()
        return digest


def random_ids(entropy: "Callable[[int], bytes]" = os.urandom) -> Ids:
    """Ids of a trace without a request. Of the system's entropy, which clones of one snapshot do not share."""
    return Ids(entropy(16).hex(), 0)
