"""The trust store: OpenSSL finds in it what it would find in the bundle."""

import ssl
from pathlib import Path

import pytest

from coldspan_layer import trust
from coldspan_testing import certificates

NAMES = {
    "spaces": "/C=DE/O=  Two   Spaces  /CN=Mixed CASE",
    "several in one set": "/C=DE/OU=zebra+CN=Apple/O=Org",
    "beyond ASCII": "/O=ÄÖÜ Ñandú/CN=Ünïcode ÇA",
    "long": "/O=" + "x" * 60 + "/OU=" + "y" * 60 + "/CN=" + "z" * 60,
}


def openssl_hash(pem: str) -> str:
    return certificates.openssl(Path(), "x509", "-noout", "-subject_hash", given=pem)


def test_every_certificate_of_the_bundle_has_the_hash_that_openssl_gives_it() -> None:
    bundle = trust.certificates(trust.installed_bundle())
    assert len(bundle) > 100
    ours = [trust.subject_hash(ssl.PEM_cert_to_DER_cert(pem)) for pem in bundle]
    assert ours == [openssl_hash(pem) for pem in bundle]


@pytest.mark.parametrize("mask", ["utf8only", "pkix", "nombstr", "default"])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_read_in_whatever_encoding_they_are_written(tmp_path: Path, name: str, mask: str) -> None:
    pem = certificates.authority(tmp_path, NAMES[name], mask).read_text()
    assert trust.subject_hash(ssl.PEM_cert_to_DER_cert(pem)) == openssl_hash(pem)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str) -> None:
    """In memory. Raises SSLError where the client does not trust the server."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert ends[0].version()


def trusting(store: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(capath=str(store))
    return context


def test_a_server_is_verified_through_the_folder_and_by_its_name(tmp_path: Path) -> None:
    bundle = trust.installed_bundle() + certificates.authority(tmp_path).read_text()
    trust.write(bundle, tmp_path / "trust")
    trust.write(trust.installed_bundle(), tmp_path / "without it")
    server = certificates.server_context(tmp_path, "DNS:collector.example")
    handshake(server, trusting(tmp_path / "trust"), "collector.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, trusting(tmp_path / "trust"), "other.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(server, trusting(tmp_path / "without it"), "collector.example")


def test_authorities_of_the_same_name_are_both_found(tmp_path: Path) -> None:
    folders = (tmp_path / "one", tmp_path / "two")
    pems = [certificates.authority(folder).read_text() for folder in folders]
    trust.write("# a comment\n" + "".join(pems), tmp_path / "trust")
    name = openssl_hash(pems[0])
    assert {path.name: path.read_text() for path in (tmp_path / "trust").iterdir()} == {
        f"{name}.{number}": pem for number, pem in enumerate(pems)
    }
    for folder in folders:
        server = certificates.server_context(folder, "DNS:here.example")
        handshake(server, trusting(tmp_path / "trust"), "here.example")
