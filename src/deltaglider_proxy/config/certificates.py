"""The certificate and the key that `advanced.tls` names: whether the server can prove itself with them.

They are read when the server starts, when they change, and by a lint; not whenever a configuration is loaded: a
certificate that is being renewed must not stand in the way of another change.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.tls import Tls

_KEYS: Final[Keys] = ("advanced", "tls")
_KEY_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_MIN_RSA_BITS = 2048

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def check_files(tls: Tls, now: float) -> Iterator[Finding]:
    """What a start would say of the files. `now`: seconds since the epoch.

    A file that does not exist is doubtful, not wrong: configurations are checked on other machines too.
    """
    if not (tls.enabled and tls.cert_path and tls.key_path):
        return
    for name, path in (("cert_path", tls.cert_path), ("key_path", tls.key_path)):
        if not Path(path).exists():
            yield warning((*_KEYS, name), "there is no such file here; the server starts with it only", value=path)
            return
    try:
        material = read(tls.cert_path, tls.key_path)
    except BadCertificate as bad:
        yield error((*_KEYS, bad.field), bad.message, bad.remedy, value=bad.path)
        return
    if (remark := material.expiry_remark(now)) is not None:
        yield warning((*_KEYS, "cert_path"), remark, "renew it", value=tls.cert_path)


class BadCertificate(Exception):
    """What the server cannot prove itself with."""

    def __init__(self, field_name: str, path: str, message: str, remedy: str) -> None:
        super().__init__(f"advanced.tls.{field_name}: {path}: {message}; {remedy}")
        self.field = field_name
        self.path = path
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Material:
    """A certificate with its chain and its key, which belong together."""

    chain: bytes
    """PEM, the server's own first."""
    key: bytes = field(repr=False)
    """PEM of PKCS #8, in clear."""
    not_before: float
    """Seconds since the epoch, as `not_after`."""
    not_after: float
    fingerprint: str
    """SHA-256 of the server's own, as tools print it."""
    names: frozenset[str]
    """Hosts and addresses that it is for."""

    def is_valid(self, now: float) -> bool:
        return self.not_before <= now < self.not_after

    def expiry_remark(self, now: float, *, soon: float = 14 * 86400.0) -> str | None:
        """What is to be said about its time. `soon`: seconds before the end from which on it is worth a word."""
        if now < self.not_before:
            return "the certificate is not valid yet"
        if now >= self.not_after:
            return "the certificate has expired, so clients will refuse it"
        if now >= self.not_after - soon:
            return f"the certificate expires in {(self.not_after - now) / 86400:.1f} days"
        return None


def read(cert_path: str, key_path: str) -> Material:
    """Raises BadCertificate."""
    certificates = _certificates(cert_path)
    key = _private_key(key_path)
    own = key.public_key()
    if certificates[0].public_key() != own:
        if any(certificate.public_key() == own for certificate in certificates[1:]):
            message, remedy = "the key belongs to another certificate of the chain", "put the server's own first"
        else:
            message, remedy = f"the certificate does not belong to the key in {key_path}", "name the files of one pair"
        raise BadCertificate("cert_path", cert_path, message, remedy)
    return material(certificates, key)


def material(chain: list[x509.Certificate], key: PrivateKey) -> Material:
    """Of a pair that is known to belong together."""
    own = chain[0]
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Material(
        chain=b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain),
        key=key.private_bytes(*pkcs8),
        not_before=own.not_valid_before_utc.timestamp(),
        not_after=own.not_valid_after_utc.timestamp(),
        fingerprint=own.fingerprint(hashes.SHA256()).hex(":").upper(),
        names=_names(own),
    )


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return frozenset()
    addresses = extension.get_values_for_type(x509.IPAddress)
    return frozenset(extension.get_values_for_type(x509.DNSName)) | frozenset(str(address) for address in addresses)


def _bytes_of(field_name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as failure:
        remedy = "name a file that the server may read"
        raise BadCertificate(field_name, path, f"cannot be read: {failure.strerror}", remedy) from failure


def _certificates(path: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_bytes_of("cert_path", path))
    except ValueError as failure:
        remedy = "write -----BEGIN CERTIFICATE----- blocks, the server's own first"
        raise BadCertificate("cert_path", path, "holds no certificate in PEM form", remedy) from failure


def _private_key(path: str) -> PrivateKey:
    # Tools write other blocks before the key, such as the parameters of its curve or the certificate.
    block = _KEY_BLOCK.search(_bytes_of("key_path", path))
    if block is None:
        remedy = "write a -----BEGIN PRIVATE KEY----- block"
        raise BadCertificate("key_path", path, "holds no private key in PEM form", remedy)
    try:
        key = serialization.load_pem_private_key(block.group(), password=None)
    except TypeError as failure:
        remedy = "write it without: openssl pkey -in KEY -out PLAIN"
        raise BadCertificate("key_path", path, "the key is protected by a passphrase", remedy) from failure
    except (ValueError, UnsupportedAlgorithm) as failure:
        raise BadCertificate("key_path", path, "the key is damaged or of an unknown kind", _KINDS) from failure
    match key:
        case rsa.RSAPrivateKey() if key.key_size >= _MIN_RSA_BITS:
            return key
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1() | ec.SECP384R1()):
            return key
        case ed25519.Ed25519PrivateKey():
            return key
        case _:
            raise BadCertificate("key_path", path, "a key of this kind cannot be served with", _KINDS)


_KINDS: Final = f"use ECDSA on P-256 or P-384, Ed25519, or RSA of at least {_MIN_RSA_BITS} bits"
