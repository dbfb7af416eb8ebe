"""`--include` and `--exclude`: globs on a key or its last part. Without an include all are in; an exclude wins."""

from collections.abc import Sequence
from dataclasses import dataclass

from deltaglider_proxy.cli.s3.locations import BadArgument
from deltaglider_proxy.config.glob import GlobError, compile_glob
from deltaglider_proxy.config.linear_regex import Compiled


@dataclass(frozen=True, slots=True)
class Filters:
    include: tuple[Compiled, ...] = ()
    exclude: tuple[Compiled, ...] = ()

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str]) -> "Filters":
        """Raises BadArgument."""
        return cls(tuple(map(_compiled, include)), tuple(map(_compiled, exclude)))

    def passes(self, key: str) -> bool:
        name = key.rpartition("/")[2]

        def matches(pattern: Compiled) -> bool:
            return pattern.fullmatch(name) is not None or pattern.fullmatch(key) is not None

        return (not self.include or any(map(matches, self.include))) and not any(map(matches, self.exclude))


def _compiled(glob: str) -> Compiled:
    try:
        return compile_glob(glob)
    except GlobError as error:
        raise BadArgument(f"{glob!r} is no pattern: it {error}") from error
