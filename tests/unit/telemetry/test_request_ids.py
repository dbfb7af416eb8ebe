import re
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

from deltaglider_proxy.telemetry.request_ids import RequestIds


def test_ids_look_like_ids() -> None:
    made = RequestIds().next()
    assert re.fullmatch(r"[0-9A-F]{24}", made.id)
    assert re.fullmatch(r"[A-Za-z0-9+/]{64}", made.extended)
    assert len(b64decode(made.extended, validate=True)) == 48


def test_no_id_comes_twice_from_several_threads_or_processes() -> None:
    first, second = RequestIds(), RequestIds()
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda source: source.next(), [first, second] * 5000))
    assert len({one.id for one in made}) == 10_000
    assert len({one.extended for one in made}) == 10_000
