"""Settings that are understood but not acted on yet.

What would weaken protection if it were ignored is an error; what merely does nothing is a warning. An entry goes when
its part is built.
"""

from collections.abc import Iterator

from deltaglider_proxy.config.encryption import Encryption, Unencrypted
from deltaglider_proxy.config.findings import Finding, Keys, error, warning
from deltaglider_proxy.config.settings import Settings


def check(settings: Settings) -> Iterator[Finding]:
    storage, advanced = settings.storage, settings.advanced
    modes: list[tuple[Keys, Encryption]] = [
        (("storage", "backends", index, "encryption"), backend.encryption)
        for index, backend in enumerate(storage.backends)
    ] or [(("storage", "backend_encryption"), storage.backend_encryption)]
    for keys, mode in modes:
        if not isinstance(mode, Unencrypted):
            yield error(
                (*keys, "mode"), "this release does not encrypt yet, and would store plain bytes", value=mode.mode
            )
    idle: tuple[tuple[Keys, bool], ...] = (
        (("storage", "replication", "rules"), bool(storage.replication.rules)),
        (("storage", "lifecycle", "enabled"), storage.lifecycle.enabled),
        (("advanced", "event_delivery", "enabled"), bool(advanced.event_delivery and advanced.event_delivery.enabled)),
    )
    for keys, used in idle:
        if used:
            yield warning(keys, "is accepted, but this release does not act on it yet")
