"""Without a configured pair, credentials come from where AWS programs look."""

from pathlib import Path

import pytest

from deltaglider_proxy.storage.backends.s3.credentials import source_of
from deltaglider_proxy.storage.backends.s3.settings import KeyPair
from deltaglider_proxy.storage.backends.s3.signing import Credentials
from deltaglider_proxy.storage.errors import Unavailable
from deltaglider_proxy.telemetry.clock import ManualClock
from deltaglider_proxy.telemetry.pool import Pool


@pytest.fixture
def nothing_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


async def found(pair: KeyPair | None, clock: ManualClock) -> Credentials:
    pool = Pool(1)
    try:
        return await source_of(pair, pool, clock).current()
    finally:
        pool.close()


async def test_a_configured_pair_comes_first(monkeypatch: pytest.MonkeyPatch, nothing_found: None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    assert await found(KeyPair("ours", "secret"), ManualClock()) == Credentials("ours", "secret")


async def test_the_environment(monkeypatch: pytest.MonkeyPatch, nothing_found: None) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert await found(None, ManualClock()) == Credentials("id", "secret", "token")


async def test_none_anywhere(nothing_found: None) -> None:
    with pytest.raises(Unavailable, match="access_key_id"):
        await found(None, ManualClock())
