"""The lean lane's connection: every legal answer is read, a dead connection renewed, a wrong peer refused, in time."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coldspan_extension import urls
from coldspan_extension.config import parse
from coldspan_extension.export.connection import Connection, Unreachable
from coldspan_extension.export.lean import tls_context
from coldspan_testing import certificates
from coldspan_testing.http_peer import OK, HttpPeer

HERE = "DNS:localhost"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def connected(url: str, **environ: str) -> Iterator[Connection]:
    connection = Connection(urls.parse(url), lambda: tls_context(parse(environ)))
    try:
        yield connection
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", b"body"),
        ([b"HTTP/1.1 200", b" OK\r\nContent-Le", b"ngth: 4\r\n\r\nbo", b"dy"], b"body"),
        (CHUNKED + b"2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n", b"body"),
        ([CHUNKED, b"4\r", b"\nbody\r\n", b"0\r\n\r\n"], b"body"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", b"body"),
        (b"HTTP/1.0 200 OK\r\n\r\nbody", b"body"),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbo", b"dy"], b"body"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_every_legal_form_of_an_answer_is_read(answer: bytes | list[bytes], body: bytes) -> None:
    with HttpPeer([[answer]]) as peer, connected(f"{peer.url}/v1/traces?x=1") as connection:
        assert connection.post([("X-Key", "v")], b"spans", 5).body == body
    ((_, head, sent),) = peer.requests
    assert sent == b"spans"
    assert head.split(b"\r\n")[0] == b"POST /v1/traces?x=1 HTTP/1.1"
    assert b"\r\nX-Key: v\r\n" in head


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbo", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_an_answer_that_breaks_off_is_none(answer: bytes) -> None:
    with (
        HttpPeer([[answer]]) as peer,
        connected(peer.url) as connection,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1"),
    ):
        connection.post([], b"", 5)


def test_one_connection_serves_all_that_is_sent_before_it_is_closed() -> None:
    with HttpPeer([[OK, OK], [OK]]) as peer, connected(peer.url) as connection:
        for _ in range(2):
            connection.post([], b"", 5)
        connection.close()
        connection.post([], b"", 5)
    assert [number for number, *_ in peer.requests] == [0, 0, 1]


def test_what_a_dead_connection_did_not_take_is_sent_again_over_a_new_one() -> None:
    with HttpPeer([[OK], [OK]]) as peer, connected(peer.url) as connection:
        for body in (b"first", b"second"):
            assert connection.post([], body, 5).status == 200
    assert [(number, body) for number, _, body in peer.requests] == [(0, b"first"), (1, b"second")]


def test_a_connection_that_dies_again_at_once_is_not_tried_for_ever() -> None:
    with HttpPeer([[OK, b""], [b""], [OK]]) as peer, connected(peer.url) as connection:
        connection.post([], b"", 5)
        with pytest.raises(Unreachable):
            connection.post([], b"again", 5)
    assert [(number, body) for number, _, body in peer.requests] == [(0, b""), (0, b"again"), (1, b"again")]


@pytest.mark.parametrize("dripping", [[b""], [b"HTTP/1.1 200 OK\r\n"] + [b"X: y\r\n"] * 3])
def test_no_answer_is_waited_for_longer_than_the_limit(dripping: list[bytes]) -> None:
    with HttpPeer([[dripping, OK]]) as peer, connected(peer.url) as connection:
        began = time.monotonic()
        with pytest.raises(Unreachable, match="timed out"):
            connection.post([], b"", 0.2)
        assert 0.15 < time.monotonic() - began < 5


def test_a_host_that_is_not_there_is_named() -> None:
    with connected("http://no-such-host.invalid:4318") as connection, pytest.raises(Unreachable, match="no-such-host"):
        connection.post([], b"", 5)


def test_an_address_of_version_6_is_reached() -> None:
    with HttpPeer([[OK]], host="::1") as peer, connected(peer.url) as connection:
        assert connection.post([], b"", 5).status == 200
    assert f"Host: {peer.url.removeprefix('http://')}".encode() in peer.requests[0][1]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an authority that is ours."""
    return certificates.authority(tmp_path_factory.mktemp("issuer")).parent


@pytest.fixture
def certificate(issuer: Path) -> str:
    return str(issuer / "authority.pem")


def test_a_peer_with_the_right_certificate_is_trusted(issuer: Path, certificate: str) -> None:
    with (
        HttpPeer([[OK]], certificates.server_context(issuer, HERE)) as peer,
        connected(peer.url, OTEL_EXPORTER_OTLP_CERTIFICATE=certificate) as connection,
    ):
        assert connection.post([], b"", 5).status == 200


def test_the_next_connection_resumes_the_session(issuer: Path, certificate: str) -> None:
    with (
        HttpPeer([[OK], [OK]], certificates.server_context(issuer, HERE)) as peer,
        connected(peer.url, OTEL_EXPORTER_OTLP_CERTIFICATE=certificate) as connection,
    ):
        for _ in range(2):
            connection.post([], b"", 5)
            connection.close()
    assert peer.resumed == [False, True]


@pytest.mark.parametrize(
    ("issued_by_ours", "name"),
    [(False, "DNS:localhost"), (True, "DNS:other.example")],
)
def test_a_peer_with_a_wrong_certificate_or_name_gets_nothing(
    issuer: Path, certificate: str, tmp_path: Path, issued_by_ours: bool, name: str
) -> None:
    folder = issuer if issued_by_ours else certificates.authority(tmp_path).parent
    tls = certificates.server_context(folder, name)
    with (
        HttpPeer([[OK]], tls) as peer,
        connected(peer.url, OTEL_EXPORTER_OTLP_CERTIFICATE=certificate) as connection,
        pytest.raises(Unreachable, match="certificate verify failed"),
    ):
        connection.post([], b"secret", 5)
    assert peer.requests == []


def test_without_a_certificate_of_the_users_a_private_authority_is_refused(issuer: Path) -> None:
    with (
        HttpPeer([[OK]], certificates.server_context(issuer, HERE)) as peer,
        connected(peer.url) as connection,
        pytest.raises(Unreachable, match="certificate verify failed"),
    ):
        connection.post([], b"secret", 5)


def test_a_client_certificate_is_shown(issuer: Path, certificate: str) -> None:
    tls = certificates.server_context(issuer, HERE)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(certificate)
    mine, key = certificates.issue(issuer, "client")
    environ = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": certificate,
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(key),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(mine),
    }
    with HttpPeer([[OK]], tls) as peer, connected(peer.url, **environ) as connection:
        assert connection.post([], b"", 5).status == 200
    with HttpPeer([[OK]], tls) as peer, connected(peer.url, OTEL_EXPORTER_OTLP_CERTIFICATE=certificate) as connection:
        with pytest.raises(Unreachable):
            connection.post([], b"", 5)
        assert peer.requests == []


def test_a_certificate_file_that_is_not_there_is_named() -> None:
    with (
        connected("https://localhost:1", OTEL_EXPORTER_OTLP_CERTIFICATE="/no/such.pem") as connection,
        pytest.raises(Unreachable, match=r"/no/such\.pem"),
    ):
        connection.post([], b"", 5)
