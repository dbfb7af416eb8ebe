"""What every part of the engine works with; made once per process by the server."""

from dataclasses import dataclass, field

from deltaglider_proxy.engine.limits import Budget, Slots, Streams
from deltaglider_proxy.engine.model import Kind
from deltaglider_proxy.engine.settings import EngineSettings
from deltaglider_proxy.storage.backend import Backend
from deltaglider_proxy.telemetry.clock import Clock
from deltaglider_proxy.telemetry.pool import Pool
from deltaglider_proxy.telemetry.tasks import Background


class Events:
    """What the engine tells whoever counts; override what is of interest."""

    def decision(self, kind: Kind, logical: int, stored: int) -> None:
        """An object was committed."""

    def promoted(self) -> None:
        """An object's bytes became a reference."""

    def encoded(self, ratio: float, seconds: float) -> None:
        """An upload was encoded to its end, kept or not."""

    def decoded(self, seconds: float) -> None:
        """A frame was decoded."""

    def reference_used(self, *, hit: bool) -> None:
        """A request needed a reference; `hit`: without reading it from the backend."""

    def integrity_failed(self) -> None:
        """Stored bytes failed a check."""


@dataclass(slots=True)
class Context:
    backend: Backend
    settings: EngineSettings
    clock: Clock
    pool: Pool
    """File operations and digests."""
    codec_pool: Pool
    """One thread per codec slot."""
    events: Events
    background: Background
    slots: Slots = field(init=False)

    decoded: Budget = field(init=False)
    """Decoded bytes that wait in memory for their readers."""
    spooled: Budget = field(init=False)
    """Bytes of uploads in the spool directory."""
    streams: Streams = field(init=False, default_factory=Streams)

    def __post_init__(self) -> None:
        self.slots = Slots(self.settings.codec_slots)
        self.decoded = Budget(self.settings.decoded_bytes)
        self.spooled = Budget(self.settings.spool_bytes)
