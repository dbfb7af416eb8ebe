"""ACL documents, expiry times, multipart ETags, what is remembered of services, `ls` lines, what is read of a file."""

import hashlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaglider_proxy.cli.s3 import acl, known_services
from deltaglider_proxy.cli.s3.locations import BadArgument, Remote
from deltaglider_proxy.cli.s3.ls import human_size
from deltaglider_proxy.cli.s3.purge import is_expired
from deltaglider_proxy.cli.s3.transfer import Mover, pieces_of
from deltaglider_proxy.cli.s3.verify import PartsEtag
from deltaglider_proxy.storage.backends.s3.documents import Malformed
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts

_ACL = b"""<?xml version="1.0"?>
<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Owner><ID>1</ID><DisplayName>one</DisplayName></Owner>
  <AccessControlList>
    <Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>1</ID></Grantee>
      <Permission>FULL_CONTROL</Permission></Grant>
    <Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"><URI>http://all</URI></Grantee>
      <Permission>READ</Permission></Grant>
  </AccessControlList>
</AccessControlPolicy>"""


def test_an_acl() -> None:
    assert acl.parse(_ACL) == {
        "Owner": {"ID": "1", "DisplayName": "one"},
        "Grants": [
            {"Grantee": {"Type": "CanonicalUser", "ID": "1"}, "Permission": "FULL_CONTROL"},
            {"Grantee": {"Type": "Group", "URI": "http://all"}, "Permission": "READ"},
        ],
    }
    with pytest.raises(Malformed):
        acl.parse(b"<x><AccessControlList><Grant/></AccessControlList></x>")


@pytest.mark.parametrize(
    ("canned", "grants"), [(None, {}), ("private", {"read": "id=1"}), ("public", {}), ("log-delivery-write", {})]
)
def test_acls_that_cannot_be_set(canned: str | None, grants: dict[str, str]) -> None:
    with pytest.raises(BadArgument):
        acl.check(canned, grants)


@pytest.mark.parametrize(
    ("text", "expired"),
    [
        (None, False),
        ("2026-01-01T00:00:00Z", True),
        ("2026-01-01T00:00:01Z", False),
        ("2026-01-01T02:00:00+02:00", True),
        ("2026-01-01T00:00:00-00:01", False),
        ("2026-01-01T00:00:00", True),
        ("2025-12-31", True),
    ],
)
def test_expiry(text: str | None, expired: bool) -> None:
    assert is_expired(text, 1_767_225_600.0) is expired


def test_what_is_no_time() -> None:
    with pytest.raises(ValueError, match="soon"):
        is_expired("soon", 0.0)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.integers(1, 7))
def test_the_etag_of_parts(parts: list[bytes], step: int) -> None:
    joined = b"".join(parts)
    found = PartsEtag([len(part) for part in parts])
    for start in range(0, len(joined), step):
        found.add(joined[start : start + step])
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert found.etag() == f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"


def test_what_is_known_of_a_service_lasts_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    verdicts = Verdicts(copy=Verdict.WORKS, odd_keys=Verdict.LACKING)
    assert known_services.recall(folder, "https://a", "releases", 1000.0) is None
    known_services.keep(folder, "https://a", "releases", 1000.0, verdicts)
    assert known_services.recall(folder, "https://a", "releases", 1000.0 + 86_399) == verdicts
    assert known_services.recall(folder, "https://a", "releases", 1000.0 + 86_400) is None
    assert known_services.recall(folder, "https://a", "releases", 999.0) is None
    assert known_services.recall(folder, "https://b", "releases", 1000.0) is None
    assert known_services.recall(folder, "https://a", "others", 1000.0) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"at": 1}', '{"at": 1, "verdicts": {"copy": "perhaps"}}', '{"at": 0}']
)
def test_a_broken_memory_is_none(text: str, tmp_path: Path) -> None:
    known_services.keep(tmp_path, "https://a", "releases", 1.0, Verdicts())
    [path] = tmp_path.iterdir()
    path.write_text(text)
    assert known_services.recall(tmp_path, "https://a", "releases", 1.0) is None


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    known_services.keep(tmp_path / "file" / "cache", "https://a", "releases", 1.0, Verdicts())
    assert known_services.recall(tmp_path / "file" / "cache", "https://a", "releases", 1.0) is None


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 50, "5120.0 TiB")]
)
def test_human_sizes(size: int, shown: str) -> None:
    assert human_size(size) == shown


def test_uploads_of_a_family_share_a_lane() -> None:
    first, second, other = (Mover.lane(Remote("releases", key)) for key in ("fw-1.0.bin", "fw-1.1.bin", "notes"))
    assert first == second != other
    assert Mover.lane(Path("fw-1.0.bin")) != Mover.lane(Path("fw-1.1.bin"))


@pytest.mark.parametrize(("data", "size"), [(b"abc", 4), (b"abc", 2), (b"", 1)])
async def test_a_file_that_changes_while_it_is_read(data: bytes, size: int) -> None:
    told: list[int] = []
    with pytest.raises(OSError, match="changed"):
        async for _ in pieces_of(BytesIO(data).read, size, "file", told.append):
            pass
    assert sum(told) <= size


@pytest.mark.parametrize("size", [3, None])
async def test_a_file_is_read_whole(size: int | None) -> None:
    told: list[int] = []
    pieces = [piece async for piece in pieces_of(BytesIO(b"abc").read, size, "file", told.append)]
    assert (b"".join(pieces), sum(told)) == (b"abc", 3)
