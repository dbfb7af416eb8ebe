import re
import stat
from pathlib import Path

import pytest

from deltaglider_proxy.config import starter
from deltaglider_proxy.config.auth_state import SignedRequests
from deltaglider_proxy.config.load import lint, load


def test_keys_have_their_shape_and_differ() -> None:
    ids = {starter.new_access_key_id() for _ in range(50)}
    secrets = {starter.new_secret_access_key() for _ in range(50)}
    assert len(ids) == len(secrets) == 50
    assert all(re.fullmatch("DGP[A-Z2-7]{17}", key) for key in ids)
    assert all(re.fullmatch("[A-Za-z0-9_-]{40}", key) for key in secrets)


def test_the_file_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    starter.write(path, starter.text("DGPAAA", "-secret"))
    report = lint(path, {"DGP_TRUST_PROXY_HEADERS": "1", "DGP_TRUSTED_PROXY_CIDRS": "10.0.0.0/8"})
    assert (report.errors, report.warnings) == ((), ())
    loaded = load(str(path), None, {}, tmp_path)
    assert isinstance(loaded.auth_state, SignedRequests)
    assert loaded.auth_state.secret_access_key.reveal() == "-secret"
    assert str(loaded.settings.advanced.listen_addr) == "127.0.0.1:9000"
    assert loaded.settings.advanced.max_object_size == 5368709120


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    starter.write(tmp_path / "c.yaml", "x")
    assert stat.S_IMODE((tmp_path / "c.yaml").stat().st_mode) == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        starter.write(path, "x")
    assert path.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        starter.write(tmp_path / "c.yaml", "x")
    assert not (tmp_path / "target").exists()


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        starter.write(tmp_path / "c.yaml", "\ud800")
    assert not (tmp_path / "c.yaml").exists()
