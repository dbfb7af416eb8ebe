"""What this server proves itself with: the files of the configuration, or a certificate that it has signed itself.

Workers read a sealed copy in memory, never the files: one that must be replaced while somebody is writing new files
still starts with what was found good.
"""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deltaglider_proxy.config.advanced import Advanced
from deltaglider_proxy.config.certificates import BadCertificate, Material, material, read
from deltaglider_proxy.server.from_config import CannotStart

FILE_NAME: Final = ".deltaglider_tls.pem"
"""Key and certificate of our own, in the state folder."""
_DAYS: Final = 397  # browsers refuse certificates that are valid for longer
_RENEW_BEFORE: Final = 30 * 86400.0

_log = structlog.get_logger("deltaglider_proxy.server")


@dataclass(frozen=True, slots=True)
class CertificateSource:
    """Where the certificate comes from, for whoever reads it again."""

    cert_path: str | None
    """None: it is our own, in `directory`."""
    key_path: str | None
    directory: Path
    names: frozenset[str]
    """Hosts and addresses that our own is made for."""

    @classmethod
    def of(cls, advanced: Advanced, directory: Path) -> "CertificateSource | None":
        """None: HTTP is served without TLS. `directory` is the state folder."""
        tls = advanced.tls
        if tls is None or not tls.enabled:
            return None
        return cls(tls.cert_path, tls.key_path, directory, frozenset(_own_names(advanced)))

    def paths(self) -> tuple[Path, ...]:
        if self.cert_path and self.key_path:
            return (Path(self.cert_path), Path(self.key_path))
        return (self.directory / FILE_NAME,)

    def obtain(self, now: float) -> Material:
        """Read it, or make our own. `now` in seconds since the epoch. Raises CannotStart."""
        if self.cert_path and self.key_path:
            try:
                return read(self.cert_path, self.key_path)
            except BadCertificate as bad:
                raise CannotStart(str(bad)) from bad
        path = self.directory / FILE_NAME
        try:
            kept = read(str(path), str(path)) if path.exists() else None
        except BadCertificate as bad:
            _log.warning("the self-signed certificate is made anew", reason=str(bad))
            kept = None
        if kept is not None and self.names <= kept.names and kept.is_valid(now + _RENEW_BEFORE):
            return kept
        made = self_signed(self.names, now)
        try:
            _keep(path, made)
        except OSError as error:
            raise CannotStart(
                f"the self-signed certificate cannot be kept in {self.directory}: {error.strerror}; start where a "
                "file can be written, or set advanced.tls.cert_path and key_path"
            ) from error
        return made


def _own_names(advanced: Advanced) -> Iterable[str]:
    yield from ("localhost", "127.0.0.1", "::1", socket.gethostname())
    host = ip_address(str(advanced.listen_addr.host))
    if not host.is_unspecified:
        yield str(host)
    if advanced.public_url is not None and (public := urlsplit(advanced.public_url).hostname):
        yield public
    if advanced.virtual_host_domain is not None:
        yield advanced.virtual_host_domain.lower()
        yield f"*.{advanced.virtual_host_domain.lower()}"


def self_signed(names: frozenset[str], now: float) -> Material:
    """A new key, and a certificate of 397 days that begins a little in the past, for clocks that are behind."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deltaglider_proxy, self-signed")])
    began = datetime.fromtimestamp(now, UTC) - timedelta(hours=1)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(began)
        .not_valid_after(began + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(text) for text in sorted(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return material([builder.sign(key, hashes.SHA256())], key)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _keep(path: Path, made: Material) -> None:
    """Wholly or not at all, for the owner's eyes only. Raises OSError."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(made.key + made.chain)
        file.flush()
        os.fsync(descriptor)
    draft.replace(path)


class SealedCopy:
    """A certificate and its key in memory that worker processes inherit; closed by whoever made it."""

    def __init__(self, of: Material) -> None:
        self.material = of
        self._cert = _in_memory("certificate", of.chain)
        self._key = _in_memory("key", of.key)

    @property
    def cert_path(self) -> str:
        """Good in this process and its forks."""
        return f"/proc/self/fd/{self._cert}"

    @property
    def key_path(self) -> str:
        return f"/proc/self/fd/{self._key}"

    def close(self) -> None:
        os.close(self._cert)
        os.close(self._key)


def _in_memory(name: str, data: bytes) -> int:
    descriptor = os.memfd_create(f"deltaglider-{name}", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    return descriptor


class FileWatch:
    """Tells when files have become others and nobody is writing them any more: they look the same at two looks."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths
        self._known = self._pending = self._look()

    def changed(self) -> bool:
        """Look. A change is told once."""
        seen = self._look()
        settled = seen == self._pending and seen != self._known
        self._pending = seen
        if settled:
            self._known = seen
        return settled

    def forget(self) -> None:
        """What is there now was just read."""
        self._known = self._pending = self._look()

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_state(path) for path in self._paths)


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
