"""Variables that commands of the `s3` family share with the server, and where they may keep what they found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deltaglider_proxy.config.environment import by_name
from deltaglider_proxy.config.overlay import boolean, read


@dataclass(frozen=True, slots=True)
class ClientSettings:
    allow_local: bool = False
    spool_dir: Path | None = None
    """For temporary files; None: where the system has them."""
    codec_slots: int | None = None
    codec_timeout: float = 60.0
    """Seconds for one frame."""
    cache_dir: Path | None = None
    """Of this user; None if there is no home."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Raises ValueError, which names the variable."""
        spool, home = environ.get("DGP_SPOOL_DIR"), environ.get("HOME")
        cache = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else None)
        slots = _number(environ, "DGP_CODEC_CONCURRENCY")
        return cls(
            _switch(environ, "DGP_BACKEND_ALLOW_LOCAL"),
            Path(spool) if spool else None,
            int(slots) if slots is not None else None,
            _number(environ, "DGP_CODEC_TIMEOUT_SECS") or 60.0,
            Path(cache) / "deltaglider_proxy" if cache else None,
        )


def _switch(environ: Mapping[str, str], name: str) -> bool:
    try:
        return boolean(environ[name]) if environ.get(name) else False
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _number(environ: Mapping[str, str], name: str) -> float | None:
    if not environ.get(name):
        return None
    try:
        found = read(by_name()[name], environ[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    assert isinstance(found, int | float)
    return found
