"""What the operator decides about the engine; the server maps the configuration to this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deltaglider_proxy.engine.model import BucketPolicy


@dataclass(frozen=True, slots=True)
class EngineSettings:
    cache_dir: Path
    spool_dir: Path
    max_object_size: int = 100 << 20
    max_passthrough_object_size: int | None = None
    max_delta_ratio: float = 0.75
    cache_bytes: int = 100 << 20
    metadata_cache_bytes: int = 50 << 20
    index_bytes: int = 1 << 30
    """Disk that the facts of containers may take."""
    spool_bytes: int = 16 << 30
    decoded_bytes: int = 128 << 20
    codec_slots: int = 2
    codec_timeout: float = 60.0
    """Seconds for one frame."""
    codec_wait: float = 5.0
    """Seconds that an upload waits for a slot or for spool room before it is stored as it is."""
    gc_grace: float = 24 * 3600.0
    max_uploads: int = 1000
    max_staged_bytes: int | None = None
    upload_idle_ttl: float = 24 * 3600.0
    usage_ttl: float = 300.0
    """Seconds for which a count of a bucket is trusted before it is counted anew."""
    policies: Mapping[str, BucketPolicy] = field(default_factory=dict)

    def policy(self, bucket: str) -> BucketPolicy:
        return self.policies.get(bucket) or BucketPolicy()

    def max_ratio(self, bucket: str) -> float:
        ratio = self.policy(bucket).max_delta_ratio
        return self.max_delta_ratio if ratio is None else ratio
