"""Pages are exact, whatever pages the service makes of its keys, and a wrong order is noticed."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from deltaglider_proxy.storage.backends.s3 import listing
from deltaglider_proxy.storage.backends.s3.answers import Answer
from deltaglider_proxy.storage.backends.s3.client import Call, Client
from deltaglider_proxy.storage.backends.s3.documents import Malformed
from deltaglider_proxy.storage.backends.s3.service import Service
from deltaglider_proxy.storage.backends.s3.settings import KeyPair, S3Settings
from deltaglider_proxy.storage.backends.s3.turns import Turns
from deltaglider_proxy.storage.backends.s3.verdicts import Verdict, Verdicts
from deltaglider_proxy.storage.errors import Unsupported
from deltaglider_proxy.telemetry.clock import ManualClock
from deltaglider_proxy.telemetry.pool import Pool
from tests.support.storage.objects import expected_page, names

some_keys = st.text("ab/-.0é\U0001f600", min_size=1, max_size=6)
prefixes = st.text("ab/-.", max_size=3)


def by_bytes(key: str) -> object:
    return key.encode()


def by_component(key: str) -> object:
    return key.split("/")


class Model(Client):
    """A service that holds `keys` and answers to listings as S3 does, with at most `most` entries a page."""

    def __init__(self, keys: set[str], most: int, order: Callable[[str], object], folder: Path) -> None:
        settings = S3Settings(folder, "https://model.example.com", key_pair=KeyPair("a", "b"))
        super().__init__(settings, Pool(1), ManualClock())
        self._keys = keys
        self._most = most
        self._order = order
        self.requests = 0

    @override
    async def read(self, call: Call) -> Answer:
        self.requests += 1
        if call.method == "HEAD":
            return Answer(200, {}, b"")
        query = call.query
        start = query.get("continuation-token") or query.get("start-after", "")
        delimiter, prefix = query.get("delimiter", ""), query["prefix"]
        shown: dict[str, bool] = {}
        for key in sorted(self._keys, key=self._order):  # type: ignore[arg-type]  # both orders compare
            if not key.startswith(prefix):
                continue
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if self._order(key) > self._order(start):  # type: ignore[operator]  # both orders compare
                shown[key if cut < 0 else key[: cut + len(delimiter)]] = cut >= 0
        count = min(int(query["max-keys"]), self._most)
        page = list(shown.items())[:count]
        xml = "".join(_entry(name, rolled=rolled) for name, rolled in page)
        more = len(shown) > count
        token = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if more and page else ""
        body = (
            f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{xml}</ListBucketResult>"
        )
        return Answer(200, {}, body.encode())


def _entry(name: str, *, rolled: bool) -> str:
    encoded = quote_plus(name)
    if rolled:
        return f"<CommonPrefixes><Prefix>{encoded}</Prefix></CommonPrefixes>"
    return (
        f"<Contents><Key>{encoded}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>"
    )


@given(
    existing=st.sets(some_keys, max_size=14),
    prefix=prefixes,
    after=st.one_of(prefixes, some_keys),
    delimiter=st.sampled_from(["", "/", "/", "-", "//", "a/"]),
    hidden=st.sampled_from(["", "a", "a/", "a/b", ".", "/"]),
    limit=st.integers(0, 6),
    most=st.integers(1, 5),
    order=st.sampled_from([by_bytes, by_component]),
)
@settings(deadline=None, max_examples=400)
async def test_a_page_is_what_the_model_says(
    existing: set[str],
    prefix: str,
    after: str,
    delimiter: str,
    hidden: str,
    limit: int,
    most: int,
    order: Callable[[str], object],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        client = Model(existing, most, order, Path(folder))
        wanted = expected_page(existing, prefix, after, limit, delimiter, hidden)
        query = listing.Query(prefix, after, limit, delimiter, hidden)
        for verdict in (Verdict.WORKS,) if order is by_bytes else (Verdict.LACKING,):
            for rolls_up in (Verdict.WORKS, Verdict.LACKING):
                verdicts = Verdicts(byte_order=verdict, common_prefixes=rolls_up)
                service = Service(client, Turns(Path(folder), 1), verdicts)
                page = await listing.page(service, "bucket", query)
                assert (names(page), page.truncated) == wanted
        client.pool.close()


async def test_a_wrong_order_is_refused(tmp_path: Path) -> None:
    client = Model({"a/b", "a-b", "a.b"}, 1000, by_component, tmp_path)
    service = Service(client, Turns(tmp_path, 1), Verdicts())
    with pytest.raises(Unsupported, match="order"):
        await listing.page(service, "bucket", listing.Query("", "", 1000, "", ""))
    client.pool.close()


async def test_a_full_page_costs_one_request(tmp_path: Path) -> None:
    keys = {f"k{number:05}" for number in range(2500)} | {f".deltaglider/{number:04}" for number in range(1500)}
    client = Model(keys, 1000, by_bytes, tmp_path)
    service = Service(client, Turns(tmp_path, 1), Verdicts())
    page = await listing.page(service, "bucket", listing.Query("", "k00999", 1000, "/", ".deltaglider/"))
    assert (len(page.entries), page.truncated, client.requests) == (1000, True, 1)
    page = await listing.page(service, "bucket", listing.Query("", "", 1000, "", ".deltaglider/"))
    assert (names(page)[0], len(page.entries), client.requests) == ("k00000", 1000, 3)
    client.pool.close()


@pytest.mark.parametrize(
    "body", [b"", b"<x/>", b"<ListBucketResult><Contents/></ListBucketResult>", b"<ListBucketResult>"]
)
def test_what_is_no_listing(body: bytes) -> None:
    with pytest.raises(Malformed):
        listing.parse(body)


def test_keys_that_the_service_garbles_are_not_passed_on() -> None:
    with pytest.raises(Unsupported, match="garbles"):
        listing.parse(_listing("\ufffd"))


def _listing(key: str) -> bytes:
    return f"<ListBucketResult>{_entry('x', rolled=False).replace('x', key, 1)}</ListBucketResult>".encode()
