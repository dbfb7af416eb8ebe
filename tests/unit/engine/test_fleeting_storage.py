"""Where rules of the storage may remove objects, none is stored that depends on another."""

from dataclasses import replace

from deltaglider_proxy.engine import references
from deltaglider_proxy.engine.model import Attributes, CompletedPart, Kind
from tests.support.engine.bodies import body, edited, noise
from tests.support.engine.nodes import BUCKET, Node
from tests.support.engine.place import Place

FIRST = noise(1, 300_000)


def set_permanent(place: Place, *, permanent: bool) -> None:
    for backend in (place.memory, place.backend):
        backend.abilities = replace(backend.abilities, permanent=permanent)


async def releases(node: Node, *numbers: int) -> list[Kind]:
    kinds = []
    for number in numbers:
        kinds.append((await node.put(f"v{number}", edited(FIRST, number))).kind)
        await node.quiet()
    return kinds


async def test_no_delta_and_no_reference_is_made(place: Place) -> None:
    set_permanent(place, permanent=False)
    node = place.process()
    assert await releases(node, 1, 2, 3) == [Kind.IDENTITY] * 3
    assert await place.references() == []
    assert await node.read("v3") == edited(FIRST, 3)


async def test_none_is_made_any_more_on_references_from_before(place: Place) -> None:
    node = place.process()
    assert await releases(node, 1, 2) == [Kind.IDENTITY, Kind.DELTA]
    set_permanent(place, permanent=False)
    assert await releases(node, 3) == [Kind.IDENTITY]
    assert await node.read("v2") == edited(FIRST, 2)


async def test_a_copy_of_a_delta_stands_alone(place: Place) -> None:
    node = place.process()
    await releases(node, 1, 2)
    set_permanent(place, permanent=False)
    copied = await node.engine.copy((BUCKET, "v2"), (BUCKET, "copy"), None)
    assert copied.kind is Kind.IDENTITY
    assert await node.read("copy") == edited(FIRST, 2)


async def test_an_upload_whose_parts_are_deltas_already_stands_alone(place: Place) -> None:
    node = place.process()
    await releases(node, 1, 2)
    data = edited(FIRST, 4)
    upload = await node.engine.create_upload(BUCKET, "v4", Attributes(), None, None)
    before = await place.size()
    part = await node.engine.put_part(BUCKET, "v4", upload, 1, body(data))
    assert await place.size() - before < len(data) / 2
    set_permanent(place, permanent=False)
    done = await node.engine.complete_upload(BUCKET, "v4", upload, [CompletedPart(1, part.etag)])
    assert done.kind is Kind.IDENTITY
    assert await node.read("v4") == data


async def test_deltas_are_made_again_when_the_rules_are_gone(place: Place) -> None:
    set_permanent(place, permanent=False)
    node = place.process()
    assert await releases(node, 1, 2) == [Kind.IDENTITY, Kind.IDENTITY]
    set_permanent(place, permanent=True)
    assert await releases(node, 3, 4) == [Kind.IDENTITY, Kind.DELTA]


async def test_a_promotion_is_ended_only_where_references_last(place: Place) -> None:
    node = place.process()
    await releases(node, 1)
    ctx = node.engine.ctx
    choice = await references.choose(ctx, BUCKET, "v1")
    hint = await references.read_hint(ctx, BUCKET, choice.deltaspace)
    assert hint is not None
    promotion = await references.make_reference(ctx, BUCKET, choice, hint)
    assert promotion is not None
    for permanent, kind in ((False, Kind.IDENTITY), (True, Kind.DELTA)):
        set_permanent(place, permanent=permanent)
        await references.rewrite_first(ctx, BUCKET, promotion)
        assert (await node.engine.head(BUCKET, "v1")).kind is kind
