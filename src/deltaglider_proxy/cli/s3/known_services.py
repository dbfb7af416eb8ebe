"""What services were seen to do, kept for a day, so that not every command tries them again."""

import contextlib
import hashlib
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Final

import orjson

from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts

_DAY: Final = 24 * 3600.0


def recall(folder: Path, service: str, bucket: str, now: float) -> Verdicts | None:
    """None if nothing is known, or it is too old. `now`: seconds since the epoch."""
    try:
        known = orjson.loads(_path(folder, service, bucket).read_bytes())
        if not 0 <= now - known["at"] < _DAY:
            return None
        if known["verdicts"].keys() != asdict(Verdicts()).keys():
            return None  # another release asked other things
        return Verdicts(**{name: Verdict(text) for name, text in known["verdicts"].items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # a file of another release, or half of one: finding out again costs a second


def keep(folder: Path, service: str, bucket: str, now: float, verdicts: Verdicts) -> None:
    """Where nothing can be kept, nothing is."""
    path = _path(folder, service, bucket)
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_bytes(orjson.dumps({"at": now, "verdicts": asdict(verdicts)}))
        draft.replace(path)


def _path(folder: Path, service: str, bucket: str) -> Path:
    digest = hashlib.sha256(f"{service}\n{bucket}".encode()).hexdigest()
    return folder / f"service.{digest[:32]}.json"
