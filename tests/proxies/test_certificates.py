"""Whether a server can prove itself with a pair of files, and the pair that it makes for itself."""

import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from deltaglider_proxy.config.advanced import Advanced
from deltaglider_proxy.config.certificates import BadCertificate, read
from deltaglider_proxy.config.tls import Tls
from deltaglider_proxy.server.from_config import CannotStart
from deltaglider_proxy.server.tls import FILE_NAME, CertificateSource, FileWatch, SealedCopy, self_signed
from tests.proxies.certificates import Files, Key, certificate, new_key, pem

YEAR = timedelta(days=365)
NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.renew()
    return made


KINDS: dict[str, Callable[[], Key]] = {
    "P-256": new_key,
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_is_read(files: Files, kind: str) -> None:
    files.renew(KINDS[kind]())
    found = read(str(files.cert), str(files.key))
    assert found.chain == files.cert.read_bytes()
    assert found.names == {"localhost", "127.0.0.1"}
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(files.cert, files.key)


def test_key_and_chain_may_be_in_one_file_with_other_blocks(files: Files) -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    both = files.directory / "both.pem"
    both.write_bytes(parameters + files.key.read_bytes() + files.cert.read_bytes())
    assert read(str(both), str(both)) == read(str(files.cert), str(files.key))


def test_the_key_is_not_shown(files: Files) -> None:
    assert "PRIVATE" not in repr(read(str(files.cert), str(files.key)))


def _other_key(files: Files) -> None:
    files.key.write_bytes(pem(new_key()))


def _wrong_order(files: Files) -> None:
    files.cert.write_bytes(certificate(new_key(), "issuer", lasts=YEAR) + files.cert.read_bytes())


def _swapped(files: Files) -> None:
    cert = files.cert.read_bytes()
    files.cert.write_bytes(files.key.read_bytes())
    files.key.write_bytes(cert)


def _folder(files: Files) -> None:
    files.cert.unlink()
    files.cert.mkdir()


BROKEN: dict[str, tuple[Callable[[Files], object], str]] = {
    "the key of another": (_other_key, "does not belong to the key"),
    "the issuer first": (_wrong_order, "put the server's own first"),
    "files swapped": (_swapped, "holds no certificate"),
    "no key": (lambda files: files.key.write_bytes(b""), "holds no private key"),
    "half a certificate": (lambda files: files.cert.write_bytes(files.cert.read_bytes()[:300]), "holds no certificate"),
    "a damaged key": (
        lambda files: files.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        "damaged",
    ),
    "a passphrase": (lambda files: files.key.write_bytes(pem(new_key(), b"secret")), "passphrase"),
    "a curve that TLS libraries lack": (
        lambda files: files.renew(ec.generate_private_key(ec.SECP521R1())),
        "use ECDSA on P-256",
    ),
    "a short key": (lambda files: files.renew(rsa.generate_private_key(65537, 1024)), "at least 2048 bits"),
    "a folder": (_folder, "cannot be read"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_cannot_be_served_with_is_explained(files: Files, what: str) -> None:
    damage, message = BROKEN[what]
    damage(files)
    with pytest.raises(BadCertificate, match=message) as caught:
        read(str(files.cert), str(files.key))
    assert "advanced.tls." in str(caught.value)


def _lint(directory: Path) -> tuple[int, str]:
    path = directory / "c.yaml"
    path.write_text("advanced: {tls: {enabled: true, cert_path: server.crt, key_path: server.key}}\n")
    program = Path(sys.executable).parent / "deltaglider_proxy"
    done = subprocess.run(
        [program, "config", "lint", path], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


def test_lint_judges_the_files(files: Files) -> None:
    assert _lint(files.directory)[0] == 0
    _other_key(files)
    code, text = _lint(files.directory)
    assert (code, "does not belong to the key" in text) == (6, True)


def test_lint_says_that_time_is_short_or_a_file_is_not_here(files: Files) -> None:
    files.renew(lasts=timedelta(days=3))
    code, text = _lint(files.directory)
    assert (code, "expires in" in text) == (0, True)
    files.key.unlink()
    code, text = _lint(files.directory)
    assert (code, "no such file here" in text) == (0, True)


def _own(directory: Path, **advanced: object) -> CertificateSource:
    source = CertificateSource.of(Advanced(tls=Tls(enabled=True), **advanced), directory)  # type: ignore[arg-type]
    assert source is not None
    return source


def test_without_tls_there_is_no_certificate(tmp_path: Path) -> None:
    assert CertificateSource.of(Advanced(), tmp_path) is None
    assert CertificateSource.of(Advanced(tls=Tls(cert_path="a", key_path="b")), tmp_path) is None


def test_our_own_is_kept_for_the_owner_alone_and_found_again(tmp_path: Path) -> None:
    made = _own(tmp_path).obtain(NOW)
    path = tmp_path / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _own(tmp_path).obtain(NOW + DAY) == made
    assert {"localhost", "127.0.0.1", "::1"} <= made.names
    assert list(tmp_path.iterdir()) == [path]


def test_our_own_is_for_the_names_that_clients_use(tmp_path: Path) -> None:
    first = _own(tmp_path).obtain(NOW)
    source = _own(tmp_path, public_url="https://dgp.example.com:9443/", virtual_host_domain="S3.example.com")
    made = source.obtain(NOW)
    assert {"dgp.example.com", "s3.example.com", "*.s3.example.com"} <= made.names
    assert made.fingerprint != first.fingerprint
    assert _own(tmp_path).obtain(NOW) == made  # it is for more than is needed now


def test_our_own_is_renewed_before_it_ends(tmp_path: Path) -> None:
    source = _own(tmp_path)
    first = source.obtain(NOW)
    assert source.obtain(NOW + 360 * DAY) == first
    second = source.obtain(NOW + 370 * DAY)
    assert second.fingerprint != first.fingerprint
    assert second.is_valid(NOW + 700 * DAY)


def test_our_own_is_made_anew_where_the_file_is_damaged(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"nothing")
    assert _own(tmp_path).obtain(NOW) == _own(tmp_path).obtain(NOW)


def test_a_state_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"set advanced\.tls\.cert_path"):
        _own(tmp_path / "absent").obtain(NOW)


@pytest.mark.parametrize(
    ("days", "remark"),
    [(-1.0, "not valid yet"), (1.0, None), (380.0, None), (390.0, "expires in 7.0 days"), (398.0, "has expired")],
)
def test_what_is_said_about_the_time_of_a_certificate(days: float, remark: str | None) -> None:
    found = self_signed(frozenset({"localhost"}), NOW).expiry_remark(NOW + days * DAY - 3600)
    assert (found is None) if remark is None else (found is not None and remark in found)


def test_a_sealed_copy_is_what_was_found_good(files: Files) -> None:
    found = read(str(files.cert), str(files.key))
    copy = SealedCopy(found)
    files.cert.write_bytes(b"half")
    assert read(copy.cert_path, copy.key_path) == found
    copy.close()
    assert not Path(copy.key_path).exists() or Path(copy.key_path).read_bytes() != found.key


def test_a_change_is_told_once_and_only_when_nobody_writes_any_more(files: Files) -> None:
    watch = FileWatch((files.cert, files.key))
    assert not watch.changed()
    files.key.write_bytes(b"a")
    assert not watch.changed()
    files.cert.write_bytes(b"bb")
    assert not watch.changed()
    assert watch.changed()
    assert not watch.changed()
    files.cert.unlink()
    assert not watch.changed()
    assert watch.changed()
    files.cert.write_bytes(b"ccc")
    watch.forget()
    assert [watch.changed(), watch.changed()] == [False, False]
