"""The trust store: OpenSSL finds in it what it would find in the bundle."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from coldspan_layer import trust

NAMES = {
    "spaces": "/C=DE/O=  Two   Spaces  /CN=Mixed CASE",
    "several in one set": "/C=DE/OU=zebra+CN=Apple/O=Org",
    "beyond ASCII": "/O=ÄÖÜ Ñandú/CN=Ünïcode ÇA",
    "long": "/O=" + "x" * 60 + "/OU=" + "y" * 60 + "/CN=" + "z" * 60,
}


@pytest.fixture(scope="module")
def openssl() -> str:
    found = shutil.which("openssl")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set, and there is no openssl on this machine")
        pytest.skip("no openssl on this machine")
    return found


def openssl_hash(openssl: str, pem: str) -> str:
    command = [openssl, "x509", "-noout", "-subject_hash"]
    return subprocess.run(command, input=pem, capture_output=True, text=True, check=True).stdout.strip()


def test_every_certificate_of_the_bundle_has_the_hash_that_openssl_gives_it(openssl: str) -> None:
    bundle = trust.certificates(trust.installed_bundle())
    assert len(bundle) > 100
    ours = [trust.subject_hash(ssl.PEM_cert_to_DER_cert(pem)) for pem in bundle]
    assert ours == [openssl_hash(openssl, pem) for pem in bundle]


@pytest.mark.parametrize("mask", ["utf8only", "pkix", "nombstr", "default"])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_read_in_whatever_encoding_they_are_written(
    openssl: str, tmp_path: Path, name: str, mask: str
) -> None:
    pem = authority(openssl, tmp_path, NAMES[name], mask).read_text()
    assert trust.subject_hash(ssl.PEM_cert_to_DER_cert(pem)) == openssl_hash(openssl, pem)


def authority(openssl: str, folder: Path, name: str, mask: str = "utf8only") -> Path:
    """A self-signed certificate's file, its key beside it in key.pem."""
    (folder / "openssl.cnf").write_text(
        f"[req]\nstring_mask = {mask}\ndistinguished_name = dn\n[dn]\n"
        "[ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign\n"
    )
    request(openssl, folder, "-x509", "-subj", name, "-extensions", "ca", "-keyout", "key.pem", "-out", "authority.pem")
    return folder / "authority.pem"


def served_by(openssl: str, folder: Path, host: str) -> ssl.SSLContext:
    """A server's context, with a certificate for `host` of the authority in that folder."""
    request(openssl, folder, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr")
    (folder / "extensions").write_text(f"subjectAltName = DNS:{host}\n")
    signed_by = ["-CA", "authority.pem", "-CAkey", "key.pem", "-CAcreateserial", "-extfile", "extensions"]
    run(openssl, folder, "x509", "-req", "-in", "server.csr", *signed_by, "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def request(openssl: str, folder: Path, *options: str) -> None:
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run(openssl, folder, "req", "-config", "openssl.cnf", *new_key, "-utf8", "-multivalue-rdn", *options)


def run(openssl: str, folder: Path, *arguments: str) -> None:
    subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)


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


def test_a_server_is_verified_through_the_folder_and_by_its_name(openssl: str, tmp_path: Path) -> None:
    bundle = trust.installed_bundle() + authority(openssl, tmp_path, NAMES["spaces"]).read_text()
    trust.write(bundle, tmp_path / "trust")
    trust.write(trust.installed_bundle(), tmp_path / "without it")
    server = served_by(openssl, tmp_path, "collector.example")
    handshake(server, trusting(tmp_path / "trust"), "collector.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(server, trusting(tmp_path / "trust"), "other.example")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        handshake(server, trusting(tmp_path / "without it"), "collector.example")


def test_authorities_of_the_same_name_are_both_found(openssl: str, tmp_path: Path) -> None:
    pems = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        pems.append(authority(openssl, folder, NAMES["spaces"]).read_text())
    trust.write("# a comment\n" + "".join(pems), tmp_path / "trust")
    name = openssl_hash(openssl, pems[0])
    assert {path.name: path.read_text() for path in (tmp_path / "trust").iterdir()} == {
        f"{name}.{number}": pem for number, pem in enumerate(pems)
    }
    for one in ("one", "two"):
        handshake(served_by(openssl, tmp_path / one, "here.example"), trusting(tmp_path / "trust"), "here.example")
