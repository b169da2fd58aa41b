"""An authority of a test's own and what it signs, made by the openssl command. Missing, it skips the test; under CI it
fails it."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def authority(folder: Path, name: str = "/O=coldspan tests/CN=authority", mask: str = "utf8only") -> Path:
    """A self-signed certificate's file, its key beside it in authority.key. `name` as openssl's -subj, its texts
    encoded as openssl's string_mask `mask` says."""
    folder.mkdir(exist_ok=True)
    (folder / "openssl.cnf").write_text(
        f"[req]\nstring_mask = {mask}\ndistinguished_name = dn\n[dn]\n"
        "[ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = keyCertSign\n"
    )
    _request(folder, "authority", "-x509", "-subj", name, "-extensions", "ca", "-out", "authority.pem")
    return folder / "authority.pem"


def issue(folder: Path, name: str, alternative: str = "DNS:localhost") -> tuple[Path, Path]:
    """A certificate and its key, signed by the authority of that folder: for `DNS:host` or `IP:address`."""
    _request(folder, name, "-subj", f"/CN={name}", "-out", f"{name}.csr")
    (folder / "extensions").write_text(f"subjectAltName = {alternative}\n")
    signed_by = ["-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-extfile", "extensions"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", *signed_by, "-out", f"{name}.pem")
    return folder / f"{name}.pem", folder / f"{name}.key"


def server_context(folder: Path, alternative: str) -> ssl.SSLContext:
    """Of a server with a certificate for that name or address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*issue(folder, "server", alternative))
    return context


def openssl(folder: Path, *arguments: str, given: str = "") -> str:
    """What the command prints, run in that folder."""
    found = shutil.which("openssl")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set, and there is no openssl on this machine")
        pytest.skip("no openssl on this machine")
    done = subprocess.run([found, *arguments], cwd=folder, input=given, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _request(folder: Path, name: str, *options: str) -> None:
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
    openssl(folder, "req", "-config", "openssl.cnf", *new_key, "-utf8", "-multivalue-rdn", *options)
