"""The lab's OTLP/HTTP collector: keeps what the layer exports, and passes it on where that is wanted.

It answers as OTLP/HTTP asks (OTLP specification, "OTLP/HTTP Response"): in the encoding of the request, with a
google.rpc.Status where it refuses.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable

from google.rpc.status_pb2 import Status

from coldspan_lab.faults import Hindrance
from coldspan_lab.forwarder import Forwarder
from coldspan_lab.http import BodyTooLarge, BodyTruncated, Request, Response, Server
from coldspan_report import otlp

TRACES_PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
DECODERS: dict[str, Callable[[bytes], otlp.ExportTraceServiceRequest]] = {
    PROTOBUF: otlp.from_protobuf,
    JSON: otlp.from_json,
}
ACCEPTED = {PROTOBUF: b"", JSON: b"{}"}
"""An ExportTraceServiceResponse without a partial success."""
MAX_BODY = 67_108_864
"""Bytes: the size that OTLP's own servers take by default."""
UNHINDERED = Hindrance()


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Collector:
    """`async with` starts it. `exports` has what was accepted, in order of arrival."""

    def __init__(
        self,
        forwarder: Forwarder | None = None,
        hindrance: Hindrance = UNHINDERED,
        on_export: "Callable[[otlp.ExportTraceServiceRequest], None] | None" = None,
    ) -> None:
        """`on_export` gets each export when it is accepted."""
        self.exports: list[otlp.ExportTraceServiceRequest] = []
        self._forwarder = forwarder
        self._hindrance = hindrance
        self._on_export = on_export or (lambda export: None)
        self._refusals_left = hindrance.refusals
        self._server = Server(self._handle)

    @property
    def endpoint(self) -> str:
        """The base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://{self._server.address}"

    @property
    def url(self) -> str:
        return self.endpoint + TRACES_PATH

    async def __aenter__(self) -> "Collector":
        """Raises PortUnavailable."""
        await self._server.start()
        if self._hindrance.down:
            await self._server.close()  # a port that was free a moment ago refuses connections
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._server.close()

    async def _handle(self, request: Request) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        await asyncio.sleep(self._hindrance.delay_s)
        try:
            if self._refusals_left:
                self._refusals_left -= 1
                raise Refused(503, "unavailable for a while")
            export = await self._receive(request, content_type)
        except Refused as refused:
            return _refusal(refused, content_type)
        self.exports.append(export)
        self._on_export(export)
        return Response(200, ACCEPTED[content_type], (("Content-Type", content_type),))

    async def _receive(self, request: Request, content_type: str) -> otlp.ExportTraceServiceRequest:
        """Raises Refused."""
        if request.path != TRACES_PATH:
            raise Refused(404, f"expected {TRACES_PATH}")
        if request.method != "POST":
            raise Refused(405, "expected POST")
        if content_type not in DECODERS:
            raise Refused(415, f"expected the content type {PROTOBUF} or {JSON}")
        try:
            body = await request.body(MAX_BODY)
        except BodyTooLarge:
            raise Refused(413, f"expected at most {MAX_BODY} bytes") from None
        except BodyTruncated:
            raise Refused(400, "the body ended early") from None
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        try:
            export = DECODERS[content_type](_decompress(body, encoding))
        except otlp.Undecodable as error:
            raise Refused(400, str(error)) from error
        if self._forwarder is not None:
            self._forwarder.put(body, request.headers)
        return export


def _decompress(body: bytes, encoding: str) -> bytes:
    """Raises Refused."""
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise Refused(415, "expected the content encoding gzip, or none")
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(400, f"no gzip: {error}") from error


def _refusal(refused: Refused, content_type: str) -> Response:
    if content_type == JSON:
        body = json.dumps({"message": str(refused)}).encode()
    else:
        content_type, body = PROTOBUF, Status(message=str(refused)).SerializeToString()
    return Response(refused.status, body, (("Content-Type", content_type),))
