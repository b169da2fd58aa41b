"""Ports of 127.0.0.1: for programs that want to be told theirs, and one where nobody listens."""

import itertools
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_candidates = itertools.count(random.randrange(10_000, 30_000))


def free_port() -> int:
    """One that is free, and stays so until it is used: who asks the kernel for any port gets one above 32,767
    (ip_local_port_range), and here none comes twice."""
    return next(port for port in _candidates if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@contextmanager
def nobody_listens() -> Iterator[str]:
    """The URL of a port that refuses connections, and that nobody else can have meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
