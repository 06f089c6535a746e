"""A key that takes all it can get, and another key's calls meanwhile, through the real edge."""

import asyncio
import contextlib
import time

from tests.fakes.edge import ANSWER, CHAT, KEY, OTHER_KEY, data, end, head, running
from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate_edge.config import LimitsConfig
from tollgate_edge.limits.pace import BURST, PER_SECOND

MEGABYTE = 1_000_000
BODY = b'{"model":"m-openai","max_tokens":16,"messages":[]}'
NO_MONEY = budget_pb2.Denial(
    reason=budget_pb2.DENIAL_REASON_BUDGET_EXHAUSTED, subject="key:k1", remaining=0
)


@contextlib.asynccontextmanager
async def lines(edge, count: int, text: bytes):
    """So many connections that sent this and nothing more."""
    port = int(edge.url.rpartition(":")[2])
    opened = []
    try:
        for start in range(0, count, 100):
            some = await asyncio.gather(
                *(
                    asyncio.open_connection("127.0.0.1", port)
                    for _ in range(min(100, count - start))
                )
            )
            for _, writer in some:
                writer.write(text)
            opened += some
        yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


def begun(length: int, sent: bytes = b"{", key: str | None = KEY) -> bytes:
    """A request whose body is not all there."""
    credentials = f"x-api-key: {key}\r\n" if key else ""
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{credentials}content-length: {length}\r\n\r\n"
    return head.encode() + sent


async def others_are_served(edge, calls: int = 40) -> None:
    """Calls of the other key, some at once: all answered, all soon."""
    for _ in range(calls // 10):
        began = time.monotonic()
        answers = await asyncio.gather(*(edge.post(key=OTHER_KEY) for _ in range(10)))
        assert [200] * 10 == [answer.status_code for answer in answers]
        assert time.monotonic() - began < 2


async def answer_of(line, seconds: float = 5.0) -> bytes:
    """All that came on it until it was closed."""
    async with asyncio.timeout(seconds):
        return await line[0].read()


async def test_case_B1_two_thousand_bodies_that_never_come_are_in_nobody_elses_way(mesh):
    """One key's half-sent requests: it has its share of them, and every other call is served."""
    async with running(mesh) as edge, lines(edge, 2000, begun(100)) as flood:
        await others_are_served(edge)
        refused = await answer_of(flood[-1], 12)
        assert refused.startswith(b"HTTP/1.1 429 ")
        for part in (b'"too_many_calls"', b"retry-after: 1\r\n", b"connection: close\r\n"):
            assert part in refused
        # Those within the share are cut off for their pace, and the key is served again.
        assert (await answer_of(flood[0], 12)).startswith(b"HTTP/1.1 408 ")
        assert 200 == (await edge.post()).status_code


async def test_case_B1_large_bodies_count_before_they_come_and_in_nobody_elses_share(mesh):
    """Lengths of 32 MB: 429 for the key beyond its share of the memory; others are served."""
    async with running(mesh) as edge, lines(edge, 40, begun(32 * MEGABYTE)) as flood:
        await others_are_served(edge)
        answers = await asyncio.gather(*(answer_of(line, 12) for line in flood))
        codes = [answer.split(b" ", 2)[1] for answer in answers]
        assert (8, 32) == (codes.count(b"408"), codes.count(b"429"))
        assert b'"too_many_bytes"' in answers[-1]


async def test_case_B1_a_chunked_body_takes_its_share_as_it_grows(mesh):
    """No length: what came counts; the total is another reason than the share."""
    limits = LimitsConfig(
        body_bytes_max=MEGABYTE, bodies_bytes_max=2 * MEGABYTE, key_share_percent=50
    )
    chunked = (
        f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    ).encode()
    piece = b"%x\r\n%s\r\n" % (MEGABYTE * 6 // 10, b" " * (MEGABYTE * 6 // 10))
    async with running(mesh, limits=limits) as edge, lines(edge, 1, chunked + piece):
        await asyncio.sleep(0.3)
        async with lines(edge, 1, chunked + piece) as second:
            assert b'"too_many_bytes"' in await answer_of(second[0], 6)
        async with lines(edge, 1, begun(MEGABYTE, key=OTHER_KEY)) as _:
            await asyncio.sleep(0.1)
            edge.authz.grant(OTHER_KEY, tenant_id="t3", key_id="k3")
            await edge.authz.changes.put(
                authz_pb2.WatchRevocationsResponse(key_ids=["k2"], through_revision=2)
            )
            await asyncio.sleep(0.3)
            async with lines(edge, 1, begun(MEGABYTE, key=OTHER_KEY)) as third:
                assert b'"overloaded"' in await answer_of(third[0])


async def test_case_B1_idle_sockets_make_way(mesh):
    """Connections that say nothing, above an address's share: a new one is let in all the same."""
    limits = LimitsConfig(connections_max=200)
    async with running(mesh, limits=limits) as edge, lines(edge, 300, b"") as idle:
        await others_are_served(edge)
        # What made way for them goes a moment later: who comes back for it costs little.
        assert b"" == await answer_of(idle[0], 3)


async def test_case_B1_calls_without_end_are_refused_at_a_pace(mesh):
    """500 lines that call again as soon as they were refused: others are served, and soon."""
    text = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: {len(BODY)}\r\n\r\n"
    refused = 0

    async def call(line, until: float) -> None:
        nonlocal refused
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while True:
                    line[1].write(text.encode() + BODY)
                    got = await line[0].readuntil(b"\r\n\r\n")
                    assert got.startswith(b"HTTP/1.1 402 ")
                    size = int(got.partition(b"content-length: ")[2].partition(b"\r")[0])
                    await line[0].readexactly(size)
                    refused += 1

    async with running(mesh) as edge, lines(edge, 500, b"") as flood:
        edge.budget.denial, edge.budget.denied = NO_MONEY, "t1"
        began = asyncio.get_running_loop().time()
        calls = [asyncio.ensure_future(call(line, began + 4)) for line in flood]
        await asyncio.sleep(0.5)
        await others_are_served(edge)
        await asyncio.gather(*calls)
        seconds = asyncio.get_running_loop().time() - began
        assert BURST <= refused <= BURST + PER_SECOND * (seconds + 1)


async def test_case_B1_a_wrong_path_without_end_is_answered_at_a_pace(mesh):
    """What is no call counts by address: another address is answered at once."""
    get = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"
    async with running(mesh) as edge, lines(edge, 400, get) as flood:
        port = int(edge.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, local_addr=("127.0.0.2", 0)
        )
        began = time.monotonic()
        writer.write(get)
        assert b" 404 " in await asyncio.wait_for(reader.readline(), 1)
        for reader, _ in flood:
            assert b" 404 " in await asyncio.wait_for(reader.readline(), 5)
        assert time.monotonic() - began > (400 - BURST) / PER_SECOND / 2
        writer.close()


async def test_case_B1_a_body_that_trickles_is_cut_off(mesh):
    """After the grace it must have come at the least pace; what is in time is served."""
    limits = LimitsConfig(body_grace_seconds=1, body_bytes_per_second_min=1000)
    async with running(mesh, limits=limits) as edge:
        slow = await edge.send(b"{", length=100_000)
        quick = await edge.send(BODY[:10], length=len(BODY) + 3000)
        began = time.monotonic()
        for count in range(3):
            await asyncio.sleep(0.6)
            quick.write(b" " * 1000 if count else BODY[10:] + b" " * 1000)
        assert b" 200 " in await quick.until(b"\r\n\r\n")
        assert b" 408 " in await slow.until(b"\r\n\r\n")
        assert time.monotonic() - began < 5
        slow.abort()
        quick.abort()


async def test_case_B1_no_body_is_read_without_a_key(mesh):
    """No key, or a bad one: 401 at once, and the connection ends without the body."""
    async with running(mesh) as edge:
        for key in (None, "sk-xa-dev-nonsense"):
            async with lines(edge, 1, begun(32 * MEGABYTE, key=key)) as (line,):
                answer = await answer_of(line, 6)
                assert answer.startswith(b"HTTP/1.1 401 ")
                assert b"connection: close\r\n" in answer
        # A request that is here whole costs nobody its connection.
        assert "connection" not in (await edge.post(key=None)).headers


async def test_case_B1_questions_about_unknown_keys_are_bounded_by_address(mesh):
    """Authz does not answer: an address has its share of the waiting, then 429."""
    limits = LimitsConfig(calls_max=8)
    async with running(mesh, limits=limits) as edge:
        edge.authz.gate.clear()
        tries = [asyncio.ensure_future(edge.post(key=key)) for key in (KEY, OTHER_KEY)]
        await asyncio.sleep(0.2)
        third = await edge.post(key=unknown())
        assert (429, "too_many_calls") == (third.status_code, third.json()["error"]["code"])
        edge.authz.gate.set()
        assert [200, 200] == [(await one).status_code for one in tries]


def unknown() -> str:
    from tollgate_kit import virtual_key
    from tollgate_kit.secret import Secret

    return virtual_key.make("dev", "E" * 12, Secret("F" * 32)).reveal()


async def test_case_B1_a_body_is_given_back_when_router_has_the_call(mesh):
    """A call may last for minutes: its bytes are free once an answer has begun."""
    limits = LimitsConfig(body_bytes_max=MEGABYTE, bodies_bytes_max=4 * MEGABYTE)
    async with running(mesh, limits=limits) as edge:
        going = asyncio.Event()

        async def script(request):
            yield head()
            await going.wait()
            yield data(ANSWER)
            yield end()

        edge.script(script)
        body = BODY + b" " * (MEGABYTE - len(BODY))
        calls = []
        for _ in range(6):
            calls.append(asyncio.ensure_future(edge.post(content=body)))
            while len(edge.router.requests) < len(calls) and not calls[-1].done():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
        going.set()
        assert [200] * 6 == [(await call).status_code for call in calls]


async def test_case_B2_no_body_is_read_for_a_key_without_money(mesh):
    """Denied a moment ago: a large body is refused by its head; a small one is asked anew."""
    async with running(mesh) as edge:
        edge.budget.denial = NO_MONEY
        for text in (begun(32 * MEGABYTE), begun(5000)):
            assert 402 == (await edge.post()).status_code
            async with lines(edge, 1, text) as (line,):
                answer = await answer_of(line, 6)
                assert answer.startswith(b"HTTP/1.1 402 ")
                assert b'"budget_exhausted"' in answer
                assert b"connection: close\r\n" in answer
        assert 2 == len(edge.budget.asked)
        edge.budget.denial = None
        assert 200 == (await edge.post()).status_code


async def test_case_B2_a_flood_of_small_calls_without_money_is_refused_early(mesh):
    """Many in a row: most are told so without asking budget; within a second a raise is felt."""
    async with running(mesh) as edge:
        edge.budget.denial = NO_MONEY
        for _ in range(6):
            answers = await asyncio.gather(*(edge.post() for _ in range(20)))
            assert [402] * 20 == [answer.status_code for answer in answers]
        assert len(edge.budget.asked) <= 60
        edge.budget.denial = None
        async with asyncio.timeout(3):
            while (await edge.post()).status_code != 200:
                await asyncio.sleep(0.05)


async def test_case_B2_a_rate_is_remembered_until_it_opens(mesh):
    """429 by its head for a large body, with the time that is left."""
    async with running(mesh) as edge:
        rate = authz_pb2.RateLimit(
            bucket="key:k1:requests", unit=authz_pb2.RATE_UNIT_REQUESTS, burst=1, count=1,
            period_ms=60_000,
        )  # fmt: skip
        edge.authz.grant(KEY, rate_limits=[rate])
        denial = budget_pb2.Denial(
            reason=budget_pb2.DENIAL_REASON_RATE_LIMITED, subject="key:k1:requests"
        )
        denial.retry_after.seconds = 30
        edge.budget.denial = denial
        assert 429 == (await edge.post()).status_code
        async with lines(edge, 1, begun(MEGABYTE)) as (line,):
            answer = await answer_of(line, 6)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"retry-after: 30\r\n" in answer
        assert 1 == len(edge.budget.asked)
