import asyncio

import pytest

from tests.support.storage.services.fault_proxy import FaultProxy
from tests.support.storage.services.faults import (
    INTERNAL_ERROR,
    SLOW_DOWN,
    Corrupt,
    Cut,
    Delay,
    Drip,
    Fault,
    Hold,
    Keep,
    LoseAnswer,
    LoseRequest,
    Refuse,
    Request,
    Rule,
    Side,
    Strip,
)
from tests.support.storage.services.service import Service
from tests.unit.services.origin import Origin, get, put, talking, through

LOST = (ConnectionError, asyncio.IncompleteReadError)


async def test_nothing_is_changed_that_no_rule_names() -> None:
    origin = Origin()
    async with through(origin) as proxy, talking(proxy) as client:
        head, body = await client.ask(put("/b/k%2F%C3%A9?x=1&y", b"body", "x-Odd: \xe9", "IF-match: *"))
    assert body == b"0123456789"
    assert head.encoded() + body == origin.answer
    assert origin.heads[0].fields[0] == ("Host", "here:1")
    assert origin.heads[0].target == "/b/k%2F%C3%A9?x=1&y"
    assert origin.heads[0].get("if-match") == "*"
    assert origin.bodies == [b"body"]
    [passed] = proxy.passed
    assert (passed.forwarded, passed.body, passed.status, passed.answered) == (True, 4, 200, True)
    assert passed.request.path == "/b/k/é"
    assert passed.request.query == {"x": "1", "y": ""}


async def test_one_connection_of_a_client_takes_many_requests() -> None:
    origin = Origin()
    async with through(origin) as proxy, talking(proxy) as client:
        for number in range(3):
            assert (await client.ask(get(f"/{number}")))[1] == b"0123456789"
    assert [head.target for head in origin.heads] == ["/0", "/1", "/2"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde",
    ],
)
async def test_every_framing_of_an_answer_is_passed_on(answer: bytes) -> None:
    async with through(Origin(answer)) as proxy, talking(proxy) as client:
        assert (await client.ask(get("/")))[1] == b"abcde"


async def test_head_has_no_body_to_wait_for() -> None:
    async with through(Origin()) as proxy, talking(proxy) as client:
        head, body = await client.ask(b"HEAD /k HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (head.get("content-length"), body) == ("10", b"")
        assert (await client.ask(get("/")))[1] == b"0123456789"


async def test_a_chunked_body_and_the_word_to_continue_are_passed_on() -> None:
    origin = Origin()
    data = b"PUT /k HTTP/1.1\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"
    async with through(origin) as proxy, talking(proxy) as client:
        assert (await client.ask(data))[0].status == 200
    assert origin.bodies == [b"body"]


async def test_an_answer_before_the_end_of_the_body_is_passed_on() -> None:
    origin = Origin(early=True)
    async with through(origin) as proxy, talking(proxy) as client:
        assert (await client.ask(b"PUT /k HTTP/1.1\r\nContent-Length: 9\r\n\r\n"))[0].status == 200
        with pytest.raises(LOST):
            await client.ask(get("/"))


@pytest.mark.parametrize(
    ("fault", "status", "code"), [(INTERNAL_ERROR, 500, b"InternalError"), (SLOW_DOWN, 503, b"SlowDown")]
)
async def test_a_refused_request_never_reaches_the_service(fault: Refuse, status: int, code: bytes) -> None:
    origin = Origin()
    async with through(origin, Rule(fault)) as proxy, talking(proxy) as client:
        head, body = await client.ask(put("/k", b"x" * 100_000))
        assert head.status == status
        assert b"<Code>" + code + b"</Code>" in body
        assert origin.heads == []
        assert (await client.ask(get("/")))[0].status == 200
    assert [passed.forwarded for passed in proxy.passed] == [False, True]


async def test_a_lost_request_has_no_effect_and_a_lost_answer_has() -> None:
    origin = Origin()
    async with through(origin, Rule(LoseRequest(), "DELETE"), Rule(LoseAnswer(), "PUT")) as proxy:
        for data in (b"DELETE /k HTTP/1.1\r\nHost: a\r\n\r\n", put("/k", b"body")):
            async with talking(proxy) as client:
                with pytest.raises(LOST):
                    await client.ask(data)
    assert [head.method for head in origin.heads] == ["PUT"]
    assert [(passed.status, passed.answered) for passed in proxy.passed] == [(None, False), (200, False)]


@pytest.mark.parametrize("after", [0, 1, 9])
@pytest.mark.parametrize("reset", [True, False])
async def test_an_answer_that_is_cut(after: int, reset: bool) -> None:
    async with through(Origin(), Rule(Cut(Side.ANSWER, after, reset))) as proxy, talking(proxy) as client:
        client.writer.write(get("/"))
        if reset:
            with pytest.raises(LOST):
                await client.answer("GET")
        else:
            data = await client.reader.read()
            assert data.partition(b"\r\n\r\n")[2] == b"0123456789"[:after]
    assert not proxy.passed[0].answered


@pytest.mark.parametrize("reset", [True, False])
async def test_a_request_that_is_cut(reset: bool) -> None:
    origin = Origin()
    async with through(origin, Rule(Cut(Side.REQUEST, 3, reset))) as proxy, talking(proxy) as client:
        with pytest.raises(LOST):
            await client.ask(put("/k", b"0123456789"))
    assert proxy.passed[0].body == 3
    assert origin.bodies == []


async def test_one_byte_is_corrupted_on_either_side() -> None:
    origin = Origin()
    async with (
        through(origin, Rule(Corrupt(Side.REQUEST, 1)), Rule(Corrupt(Side.ANSWER, 9))) as proxy,
        talking(proxy) as client,
    ):
        head, body = await client.ask(put("/k", b"abc"))
    assert origin.bodies == [bytes([ord("a"), ord("b") ^ 0xFF, ord("c")])]
    assert body == b"012345678" + bytes([ord("9") ^ 0xFF])
    assert head.get("content-length") == "10"


async def test_a_dripped_body_arrives_whole() -> None:
    origin = Origin()
    rules = (Rule(Drip(Side.REQUEST, 3, 0.0)), Rule(Drip(Side.ANSWER, 4, 0.0)))
    async with through(origin, *rules) as proxy, talking(proxy) as client:
        assert (await client.ask(put("/k", b"0123456")))[1] == b"0123456789"
    assert origin.bodies == [b"0123456"]


async def test_fields_are_stripped_on_either_side() -> None:
    origin = Origin()
    rules = (Rule(Strip(Side.REQUEST, ("if-match",))), Rule(Strip(Side.ANSWER, ("etag",))))
    async with through(origin, *rules) as proxy, talking(proxy) as client:
        head, _ = await client.ask(put("/k", b"", 'If-Match: "a"'))
    assert origin.heads[0].get("if-match") is None
    assert head.get("etag") is None


@pytest.mark.parametrize("side", list(Side))
async def test_what_is_held_waits_until_it_is_released(side: Side) -> None:
    origin = Origin()
    hold = Hold(side)
    async with through(origin, Rule(hold, "PUT")) as proxy, talking(proxy) as client, talking(proxy) as other:
        client.writer.write(put("/held", b"body"))
        await hold.reached.wait()
        assert [head.method for head in origin.heads] == (["PUT"] if side is Side.ANSWER else [])
        await other.ask(get("/other"))
        hold.release.set()
        assert (await client.answer("PUT"))[0].status == 200
    assert len(origin.heads) == 2


async def test_a_held_request_takes_effect_even_if_its_client_has_left() -> None:
    origin = Origin()
    hold = Hold()
    keep = Hold(Side.ANSWER)
    async with through(origin, Rule(hold), Rule(keep)) as proxy:
        async with talking(proxy) as client:
            client.writer.write(b"DELETE /k HTTP/1.1\r\nHost: a\r\n\r\n")
            await hold.reached.wait()
        hold.release.set()
        await keep.reached.wait()
    assert [head.method for head in origin.heads] == ["DELETE"]


async def test_a_kept_request_is_sent_again_as_it_was() -> None:
    origin = Origin()
    keep = Keep()
    async with through(origin, Rule(keep)) as proxy, talking(proxy) as client:
        await client.ask(put("/k", b"body", "Expect: 100-continue"))
        assert origin.bodies == [b"body"]
        assert await proxy.send(keep.kept[0]) == 200
    assert origin.bodies == [b"body", b"body"]
    assert origin.heads[0] == origin.heads[1]


async def test_a_kept_chunked_request_is_sent_later_though_its_client_gave_up() -> None:
    origin = Origin()
    keep = Keep(passed=False)
    async with through(origin, Rule(keep)) as proxy, talking(proxy) as client:
        with pytest.raises(LOST):
            await client.ask(b"PUT /k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")
        assert origin.heads == []
        assert await proxy.send(keep.kept[0]) == 200
    assert origin.bodies == [b"body"]


async def test_delays_pass() -> None:
    async with through(Origin(), Rule(Delay(0.0)), Rule(Delay(0.0, Side.ANSWER))) as proxy, talking(proxy) as client:
        assert (await client.ask(get("/")))[0].status == 200


async def test_a_rule_takes_the_requests_that_it_names() -> None:
    def not_the_seventh(request: Request) -> bool:
        return request.query["part"] != "7"

    rule = Rule(INTERNAL_ERROR, "GET", r"^/b/k", ("part",), not_the_seventh, skip=1, times=2)
    asked = ["/b/k?part=1", "/b/k", "/c/k?part=1", "/b/k?part=7", "/b/k?part=2", "/b/kk?part=3", "/b/k?part=4"]
    async with through(Origin(), rule) as proxy, talking(proxy) as client:
        statuses = [(await client.ask(get(target)))[0].status for target in asked]
        assert (await client.ask(put("/b/k?part=5", b"")))[0].status == 200
    assert statuses == [200, 200, 200, 200, 500, 500, 200]
    assert (rule.matched, rule.happened) == (4, 2)


async def test_rules_can_be_added_meanwhile_and_hold_for_ever() -> None:
    async with through(Origin()) as proxy, talking(proxy) as client:
        assert (await client.ask(get("/")))[0].status == 200
        proxy.add(Rule(SLOW_DOWN, times=None))
        assert [(await client.ask(get("/")))[0].status for _ in range(3)] == [503] * 3


async def test_what_was_sent_more_than_once_is_told() -> None:
    async with through(Origin(), Rule(SLOW_DOWN, path="refused")) as proxy, talking(proxy) as client:
        for target in ("/a", "/b", "/a", "/refused", "/refused"):
            await client.ask(put(target, b""))
    assert proxy.forwarded("PUT") == ["/a", "/b", "/a", "/refused"]
    assert proxy.repeated("PUT") == {"/a": 2}


async def test_faults_of_several_rules_happen_together() -> None:
    origin = Origin()
    faults: list[Fault] = [Strip(Side.REQUEST, ("If-Match",)), LoseAnswer()]
    async with through(origin, *map(Rule, faults)) as proxy, talking(proxy) as client:
        with pytest.raises(LOST):
            await client.ask(put("/k", b"body", "If-Match: *"))
    assert origin.heads[0].get("if-match") is None


async def test_a_service_that_is_gone_looks_like_a_reset() -> None:
    async with FaultProxy(Service("gone", "http://127.0.0.1:9")) as proxy, talking(proxy) as client:
        with pytest.raises(LOST):
            await client.ask(get("/"))


async def test_what_the_proxy_cannot_read_fails_the_test() -> None:
    async def send_nonsense() -> None:
        async with through(Origin()) as proxy, talking(proxy) as client:
            with pytest.raises(LOST):
                await client.ask(b"nonsense\r\nnonsense\r\n\r\n")

    with pytest.raises(ExceptionGroup, match="fault proxy failed"):
        await send_nonsense()


async def test_bodies_stream() -> None:
    """The service has its first bytes while the client still holds back the last."""
    hold = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(1 << 20)
        hold.set()
        await reader.readexactly(1 << 20)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    service = Service("slow", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with server, FaultProxy(service) as proxy, talking(proxy) as client:
        client.writer.write(b"PUT /k HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (2 << 20) + bytes(1 << 20))
        await hold.wait()
        assert (await client.ask(bytes(1 << 20)))[0].status == 200
