"""An https collector with an authority of its own, in a thread of the benchmark, which sleeps while others work.

Its keys are made with the openssl command: P-256, as collectors have them today. The handshake's server side is part of
what is measured, less than 1 ms of it on the other core.
"""

import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from coldspan_bench.environment import LOOPBACK, Export
from coldspan_bench.errors import Unavailable
from coldspan_lab import tree_cache

DAYS = "3650"
EXTENSIONS = "subjectAltName=IP:127.0.0.1,DNS:localhost\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"


class TlsCollector:
    """`marks` as in Seen; `exports` is what arrived."""

    def __init__(self, keys: Path) -> None:
        self.marks: dict[tuple[str, int], list[int]] = {}
        self.exports: list[Export] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(keys / "server.pem", keys / "server.key")
        self.server = ThreadingHTTPServer((LOOPBACK, 0), _handler(self))
        self.endpoint = f"https://{LOOPBACK}:{self.server.server_port}"

    def mark(self, name: str) -> None:
        self.marks.setdefault((name, 0), []).append(time.monotonic_ns())

    def forget(self) -> None:
        self.marks, self.exports = {}, []


def _handler(collector: TlsCollector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            collector.mark("export-opened")
            self.request = collector.context.wrap_socket(self.request, server_side=True)
            collector.mark("export-shaken")
            super().setup()

        def finish(self) -> None:
            super().finish()
            self.request.close()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.mark("export")
            kind, encoding = self.headers.get("Content-Type", ""), self.headers.get("Content-Encoding", "")
            collector.exports.append(Export(f"POST {self.path}", kind, encoding, body))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", "0")
            self.end_headers()
            collector.mark("export-answered")

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Nothing: stderr is for what goes wrong."""

    return Handler


@contextmanager
def tls_collector(keys: Path) -> Iterator[TlsCollector]:
    collector = TlsCollector(keys)
    thread = threading.Thread(target=collector.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()
        thread.join()


def keys(cache: Path) -> Path:
    """A folder with ca.pem, server.pem and server.key, made once. Raises Unavailable."""
    return tree_cache.once(cache / "tls", _make_keys)


def trusting_layer(cache: Path, layer: Path, authority: Path) -> Path:
    """A copy of the layer whose own trust stores, a hashed folder or certifi's file, know the authority as well.

    Raises Unavailable where it has none."""
    key = tree_cache.digest([(str(layer), authority.read_bytes())])

    def build(copy: Path) -> None:
        shutil.copytree(layer, copy, symlinks=True)
        name = _openssl("x509", "-noout", "-subject_hash", "-in", str(authority)).strip() + ".0"
        folders = {path.parent for path in copy.rglob("????????.0")}
        bundles = list(copy.rglob("certifi/cacert.pem"))
        if not folders and not bundles:
            raise Unavailable("the layer has no trust store: no hashed folder, no certifi/cacert.pem")
        for folder in folders:
            shutil.copyfile(authority, folder / name)
        for bundle in bundles:
            bundle.write_bytes(bundle.read_bytes() + b"\n" + authority.read_bytes())

    return tree_cache.once(cache / f"trusting-{key}", build)


def _make_keys(folder: Path) -> None:
    folder.mkdir()
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    authority = ("-x509", "-days", DAYS, "-subj", "/CN=coldspan benchmark", "-addext", "keyUsage=keyCertSign,cRLSign")
    _openssl("req", *new_key, *authority, "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem"))
    request = str(folder / "server.csr")
    _openssl("req", *new_key, "-subj", "/CN=localhost", "-keyout", str(folder / "server.key"), "-out", request)
    (folder / "extensions").write_text(EXTENSIONS)
    issuer = ("-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"), "-CAcreateserial")
    output = ("-days", DAYS, "-extfile", str(folder / "extensions"), "-out", str(folder / "server.pem"))
    _openssl("x509", "-req", "-in", request, *issuer, *output)


def _openssl(*arguments: str) -> str:
    try:
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise Unavailable("no openssl command, which makes the keys") from None
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"openssl {arguments[0]} failed: {error.stderr.strip()[-300:]}") from error
