"""The lean lane: OTLP/HTTP with our own encoder and connection, at a tenth of the CPU time of the sdk lane.

It does not wait to try again: that is billed. What may be retried goes back to the queue, for a later occasion.
"""

import time

from coldspan_extension import tree
from coldspan_extension.config import Config
from coldspan_extension.export import Exported, Failed
from coldspan_extension.export.connection import Connection, Unreachable
from coldspan_extension.export.outcome import outcome_of, time_limit
from coldspan_extension.export.protobuf import export_request
from coldspan_extension.span import Attributes, Span
from coldspan_extension.urls import Url
from coldspan_wrapper import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

OURS = ("content-type", "content-length", "content-encoding", "transfer-encoding", "connection", "host")
"""Headers that say what the request is: not for the user to set."""


class LeanExporter:
    def __init__(self, config: Config, url: Url) -> None:
        self._config = config
        self._connection = Connection(url, lambda: tls_context(config))
        chosen = {name.lower() for name in config.headers}
        self._headers = [(name, value) for name, value in config.headers.items() if name.lower() not in OURS]
        self._headers.append(("Content-Type", "application/x-protobuf"))
        if "user-agent" not in chosen:
            self._headers.append(("User-Agent", f"coldspan/{__version__}"))
        if config.compression == "gzip":
            self._headers.append(("Content-Encoding", "gzip"))

    def export(self, resource: Attributes, spans: list[Span], deadline_ns: int) -> Exported | Failed:
        timeout_s = time_limit(self._config.timeout_s, deadline_ns, time.time_ns())
        if timeout_s <= 0:
            return Failed(True, "no time left before the deadline")
        body = export_request(resource, spans)
        if self._config.compression == "gzip":
            body = _gzip(body)
        try:
            answer = self._connection.post(self._headers, body, timeout_s)
        except Unreachable as error:
            return Failed(True, str(error))
        return outcome_of(answer.status, answer.headers.get("retry-after", ""), answer.body, len(spans), time.time())

    def close_idle(self) -> None:
        self._connection.close()


def tls_context(config: Config) -> "ssl.SSLContext":
    """Verifies certificate and name, against the user's own authorities or those that come with the layer. Raises
    OSError, naming the file that cannot be used."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        trust = config.certificate or _shipped_trust()
        if config.certificate:
            context.load_verify_locations(cafile=trust)
        elif trust:
            context.load_verify_locations(capath=trust)
        else:
            context.load_default_certs()
        if config.client_certificate:
            trust = config.client_certificate
            context.load_cert_chain(config.client_certificate, config.client_key or None)
    except OSError as error:  # ssl.SSLError is one
        raise OSError(f"{trust}: {error}") from error
    return context


def _shipped_trust() -> str:
    """The layer's folder of certificates, hashed as OpenSSL looks them up: it reads the one it needs, where a file
    with all of them takes 20 to 35 ms to load. Empty outside a layer."""
    folder = tree.path("trust")
    return folder if tree.exists(folder) else ""


def _gzip(body: bytes) -> bytes:
    import zlib

    compressor = zlib.compressobj(wbits=31)  # 16 more than the largest window: with gzip's header
    return compressor.compress(body) + compressor.flush()
