"""The trust store of the layer: a folder of certificates that OpenSSL finds by their subject, one file each.

    <8 hex digits of the subject's hash>.<n>      PEM; n counts those whose subjects have the same hash

To load certifi's bundle of 117 certificates takes Python 20 to 50 ms, and to name such a folder nothing: OpenSSL reads
of it what a handshake asks for (`load_verify_locations(capath=...)`). The hash is that of `openssl x509 -subject_hash`;
it is computed here, since the machine that builds a layer need not have that command.
"""

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from coldspan_layer.errors import BuildError

PEM_BEGIN, PEM_END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"

SEQUENCE, SET, VERSION = 0x30, 0x31, 0xA0
UTF8_STRING = 0x0C
ENCODINGS = {
    UTF8_STRING: "utf-8",
    # Printable-, T61-, IA5- and VisibleString, as OpenSSL reads them
    **dict.fromkeys((0x13, 0x14, 0x16, 0x1A), "latin-1"),
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
SPACES = " \t\n\v\f\r"


def installed_bundle() -> str:
    """The PEM text of certifi, which comes with requests. Raises BuildError where it is missing."""
    try:
        import certifi
    except ImportError as missing:
        raise BuildError("certifi is not installed; expected all of coldspan: pip install coldspan") from missing
    return certifi.contents()


def write(bundle: str, into: Path) -> None:
    """Makes the folder `into` of a bundle of PEM certificates; what stands between them is left out."""
    into.mkdir()
    counts: dict[str, int] = {}
    for pem in certificates(bundle):
        name = subject_hash(ssl.PEM_cert_to_DER_cert(pem))
        number = counts.get(name, 0)
        counts[name] = number + 1
        (into / f"{name}.{number}").write_text(pem, "ascii")


def certificates(bundle: str) -> list[str]:
    """Each certificate's PEM text, in the bundle's order."""
    texts = bundle.split(PEM_BEGIN)[1:]
    return [PEM_BEGIN + text.partition(PEM_END)[0] + PEM_END + "\n" for text in texts]


def subject_hash(certificate: bytes) -> str:
    """Of a certificate in DER: OpenSSL's X509_NAME_hash of its subject, as 8 hex digits.

    That is the first four bytes, as a little-endian number, of the SHA-1 of the name's canonical form
    (crypto/x509/x_name.c, x509_name_canon): the name's sets without the sequence around them, each text in UTF-8, in
    lower case as far as it is ASCII, spaces at its ends gone and others single.
    """
    canonical = b"".join(map(_canonical_set, _children(_subject(certificate))))
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"


def _subject(certificate: bytes) -> bytes:
    """RFC 5280: version (may be missing), serial number, signature, issuer, validity, subject."""
    ((_, content),) = _values(certificate)
    _, signed = next(_values(content))
    fields = [content for tag, content in _values(signed) if tag != VERSION]
    return fields[4]


def _canonical_set(attributes: bytes) -> bytes:
    """Of one relative distinguished name; DER sorts what is in a set."""
    encoded = []
    for attribute in _children(attributes):
        (of_type, oid), (tag, value) = _values(attribute)
        if tag in ENCODINGS:
            tag, value = UTF8_STRING, _canonical_text(value.decode(ENCODINGS[tag])).encode()
        encoded.append(_encode(SEQUENCE, _encode(of_type, oid) + _encode(tag, value)))
    return _encode(SET, b"".join(sorted(encoded)))


def _canonical_text(text: str) -> str:
    for space in SPACES:
        text = text.replace(space, " ")
    text = " ".join(word for word in text.split(" ") if word)
    return "".join(character.lower() if character.isascii() else character for character in text)


def _children(content: bytes) -> list[bytes]:
    return [child for _, child in _values(content)]


def _values(der: bytes) -> Iterator[tuple[int, bytes]]:
    """The DER values that stand one after another: tag and content of each."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:  # so many bytes of length follow
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length


def _encode(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content
