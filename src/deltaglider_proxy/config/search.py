"""Which configuration file is used: one named explicitly, or the first of six places that exists."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SYSTEM_DIR = Path("/etc/deltaglider_proxy")


@dataclass(frozen=True, slots=True)
class Found:
    path: Path | None
    """None: no file, so defaults and environment alone. A path that was named explicitly may not exist."""
    hidden_toml: Path | None = None
    """A TOML file beside the chosen one that is not read."""


def candidates(cwd: Path, system_dir: Path = SYSTEM_DIR) -> tuple[Path, ...]:
    """The places that are looked at, in order."""
    local = (cwd / f"deltaglider_proxy.{extension}" for extension in ("yaml", "yml", "toml"))
    return (*local, *(system_dir / f"config.{extension}" for extension in ("yaml", "yml", "toml")))


def find(argument: str | None, environ: Mapping[str, str], cwd: Path, system_dir: Path = SYSTEM_DIR) -> Found:
    """`argument` is the value of `--config`; it and DGP_CONFIG are used unconditionally."""
    if explicit := argument or environ.get("DGP_CONFIG"):
        return Found(cwd / explicit)
    for path in candidates(cwd, system_dir):
        if path.exists():
            toml = path.with_suffix(".toml")
            return Found(path, toml if path.suffix != ".toml" and toml.exists() else None)
    return Found(None)
