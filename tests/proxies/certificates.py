"""Certificates for tests, made apart from the server's own way of making them."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(key: Key, *names: str, begins: timedelta = timedelta(hours=-1), lasts: timedelta) -> bytes:
    """PEM, signed by itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    began = datetime.now(UTC) + begins
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + lasts)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.GeneralName:
    if text[0].isdigit():
        from ipaddress import ip_address

        return x509.IPAddress(ip_address(text))
    return x509.DNSName(text)


def pem(key: Key, passphrase: bytes | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@dataclass(frozen=True, slots=True)
class Files:
    """A pair of files as an operator would keep them."""

    directory: Path

    @property
    def cert(self) -> Path:
        return self.directory / "server.crt"

    @property
    def key(self) -> Path:
        return self.directory / "server.key"

    def renew(self, key: Key | None = None, lasts: timedelta = timedelta(days=90)) -> bytes:
        """Write another pair; the certificate as PEM."""
        key = key or new_key()
        made = certificate(key, "localhost", "127.0.0.1", lasts=lasts)
        self.key.write_bytes(pem(key))
        self.cert.write_bytes(made)
        return made

    def renew_unseen(self) -> bytes:
        """The same, but size, inode and time of the files stay: whoever does not read them sees no change."""
        before = {path: path.stat() for path in (self.cert, self.key)}
        made = self.renew()
        while len(made) != before[self.cert].st_size:
            made = self.renew()
        for path, state in before.items():
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        return made
