"""The bootstrap password: what is accepted as one, and its bcrypt hash."""

import binascii
import re
import secrets
import string
from base64 import b64decode

import bcrypt

COST = 12
MIN_CHARACTERS, MAX_CHARACTERS = 12, 128
MAX_BYTES = 72
"""What bcrypt looks at; more would be ignored in silence."""

_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_COMMON = frozenset(
    {
        "123456789012",
        "1234567890123",
        "administrator",
        "adminadminadmin",
        "changemechangeme",
        "correcthorsebatterystaple",
        "deltagliderproxy",
        "iloveyouiloveyou",
        "letmeinletmein",
        "minioadminminioadmin",
        "password1234",
        "password12345",
        "password123456",
        "passwordpassword",
        "qwertyqwerty",
        "qwertyuiop12",
        "qwertyuiop123",
        "secretsecret",
        "welcome12345",
        "welcomewelcome",
    }
)


class WeakPassword(ValueError):
    """Says what is wrong, never the password."""


class NotAHash(ValueError):
    """Says what is wrong, never the value."""


def check_policy(password: str) -> None:
    """Raises WeakPassword."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise WeakPassword(f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
    if len(password.encode()) > MAX_BYTES:
        raise WeakPassword(f"a password has at most {MAX_BYTES} bytes: bcrypt would ignore the rest")
    if password.lower() in _COMMON:
        raise WeakPassword("this password is among the first that anyone tries")


def hash_password(password: str, cost: int = COST) -> str:
    """Takes a quarter of a second, in a thread. Raises WeakPassword."""
    check_policy(password)
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def verify_password(password: str, hashed: str) -> bool:
    """Takes as long as hashing did, whatever the answer. Hashes of long passwords know their first 72 bytes only."""
    return bcrypt.checkpw(password.encode()[:MAX_BYTES], hashed.encode())


def parse_hash(text: str, source: str) -> str:
    """A bcrypt hash, or its base64, which needs no escaping of `$`. Raises NotAHash, which names `source`."""
    found = text.strip()
    if not found.startswith("$"):
        try:
            found = b64decode(found, validate=True).decode("ascii").strip()
        except (binascii.Error, UnicodeDecodeError, ValueError):
            found = ""
    if not _HASH.fullmatch(found):
        raise NotAHash(f"{source} is no bcrypt hash ($2b$…) and no base64 of one; see --set-bootstrap-password")
    return found


def generate_password() -> str:
    """16 letters and digits: 95 random bits."""
    alphabet = string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(16))
