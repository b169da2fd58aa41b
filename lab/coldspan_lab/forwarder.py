"""Passes exports on to another OTLP/HTTP collector, byte for byte, in a thread of its own: the layer does not wait.

What cannot be delivered is counted and said once; it is not tried again.
"""

import ipaddress
import queue
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import requests

FORWARDED_HEADERS = ("content-type", "content-encoding")
TIMEOUT_S = (3.0, 10.0)
"""To connect, and for the answer."""


class Forwarder:
    """`finish` once, after the last `put`. Left without it, what is still queued ends with the process."""

    def __init__(self, endpoint: str, say: Callable[[str], None]) -> None:
        """`endpoint` is a base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT. `say` is called from the thread."""
        self.delivered = 0
        self.failed = 0
        self.url = traces_url(endpoint)
        self._say = say
        self._queue: queue.SimpleQueue[tuple[bytes, dict[str, str]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="coldspan-forwarder", daemon=True)
        self._thread.start()

    def put(self, body: bytes, headers: Mapping[str, str]) -> None:
        """`headers` are those that it came with, their names in lower case."""
        self._queue.put((body, {name: headers[name] for name in FORWARDED_HEADERS if name in headers}))

    def finish(self) -> None:
        """Returns when everything has been tried."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        with requests.Session() as session:
            session.trust_env = not _is_loopback(self.url)  # a proxy does not reach this machine's own ports
            while (export := self._queue.get()) is not None:
                self._deliver(session, *export)

    def _deliver(self, session: requests.Session, body: bytes, headers: dict[str, str]) -> None:
        try:
            # A redirected POST becomes a GET, whose 200 would say nothing.
            reply = session.post(self.url, data=body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False)
            problem = "" if reply.ok and not reply.is_redirect else f"it answered {reply.status_code} {reply.reason}"
        except requests.RequestException as error:
            problem = _reason(error)
        if not problem:
            self.delivered += 1
            return
        self.failed += 1
        if self.failed == 1:
            self._say(f"--otlp: an export could not be forwarded to {self.url}: {problem}")


def traces_url(endpoint: str) -> str:
    """The endpoint for traces below a base URL (OTLP exporter specification, "Endpoint URLs for OTLP/HTTP")."""
    parts = urlsplit(endpoint)
    return parts._replace(path=f"{parts.path.rstrip('/')}/v1/traces").geturl()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(error: requests.RequestException) -> str:
    """The innermost cause: the outer ones only say that there was one, in many words."""
    cause: BaseException = error
    while cause.__context__ is not None:
        cause = cause.__context__
    return str(cause) or type(cause).__name__
