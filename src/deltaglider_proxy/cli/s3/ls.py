"""`s3 ls`: buckets, or objects with the sizes that they were uploaded with."""

import json
from datetime import UTC, datetime

from deltaglider_proxy.cli.exit_codes import ExitCode
from deltaglider_proxy.cli.output import result
from deltaglider_proxy.cli.s3.locations import Remote
from deltaglider_proxy.cli.s3.stores import Store
from deltaglider_proxy.engine.model import ObjectInfo

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


async def run(
    store: Store, place: Remote | None, *, recursive: bool, human: bool, summarize: bool, page: int, as_json: bool
) -> int:
    """The key of `place` is a plain prefix here. Raises NoSuchBucket."""
    if place is None:
        for name, created in await store.buckets():
            if as_json:
                result(json.dumps({"bucket": name, "created": _time(created)}) + "\n")
            else:
                result(f"{_time(created)} {name}\n")
        return ExitCode.OK
    count = size = 0
    after, more = "", True
    while more:
        found = await store.list(place.bucket, place.key, after, page, "" if recursive else "/")
        lines = []
        for entry in found.entries:
            after = entry if isinstance(entry, str) else entry.key
            if isinstance(entry, ObjectInfo):
                count += 1
                size += entry.size
            lines.append(_json(entry) if as_json else _line(entry, human=human))
        result("".join(lines))
        more = found.truncated
    if summarize and not as_json:
        result(f"\nTotal Objects: {count}\nTotal Size: {human_size(size) if human else size}\n")
    return ExitCode.OK


def _line(entry: ObjectInfo | str, *, human: bool) -> str:
    if isinstance(entry, str):
        return f"{' ' * 27}PRE {entry}\n"
    size = human_size(entry.size) if human else str(entry.size)
    return f"{_time(entry.modified)} {size:>10} {entry.key}\n"


def _json(entry: ObjectInfo | str) -> str:
    if isinstance(entry, str):
        return json.dumps({"prefix": entry}) + "\n"
    fields: dict[str, object] = {"key": entry.key, "size": entry.size, "last_modified": _time(entry.modified)}
    if entry.stored_size:  # a proxy does not tell it
        fields |= {"stored_size": entry.stored_size, "storage_type": entry.kind.value}
    return json.dumps(fields) + "\n"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def human_size(size: float) -> str:
    """One decimal, but for bytes."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("the last unit ends the loop")
