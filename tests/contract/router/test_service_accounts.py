"""Upstream keys that are Google's service accounts: one token for many calls, and none shown."""

import asyncio
import base64
import json
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs

import pytest

from tests import google
from tests.contract.router import harness as h
from tests.contract.router.harness import end_of, fake_upstream, harness
from tests.contract.router.test_claude_clouds import ANSWER, NAMES, PROJECT, call
from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.protocol import Protocol
from tollgate_router.provider_test import Found, ProviderTest
from tollgate_router.providers import provider_keys
from tollgate_router.upstream import token_exchange

pb = router_pb2
VERTEX = Protocol.VERTEX_ANTHROPIC
MODEL = NAMES[VERTEX]
CONTENT = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"},
    ],
    "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
}
REFUSED = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}


@dataclass
class TokenServer(h.FakeUpstream):
    """Answers each request with the same script, or a new token of its own."""

    told: h.Script | None = None
    life_seconds: int = 3_600
    pause: float = 0.0
    tokens: list[str] = field(default_factory=list)

    def script(self, path: str, body: bytes) -> h.Script:
        assert "/token" == path
        if self.told is not None:
            return self.told
        self.tokens.append(f"{google.TOKEN}{len(self.tokens)}......")
        token, kind = self.tokens[-1], "Bearer"
        made = {"access_token": token, "expires_in": self.life_seconds, "token_type": kind}
        return [h.Pause(self.pause), *h.answer(made)]

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/token"


class Clock:
    """The harness's clock, ahead of time by what a test says."""

    def __init__(self, real) -> None:
        self._real = real
        self.ahead = 0.0

    def monotonic(self) -> float:
        return self._real.monotonic() + self.ahead

    def unix_ms(self) -> int:
        return self._real.unix_ms() + int(self.ahead * 1000)


class World:
    """A router, an upstream, and where tokens are got."""

    def __init__(self, tmp_path) -> None:
        self._tmp_path = tmp_path
        self.tokens = TokenServer()

    async def __aenter__(self):
        self._servers = [fake_upstream(self.tokens), fake_upstream()]
        await self._servers[0].__aenter__()
        self.up = await self._servers[1].__aenter__()
        self.up.scripts = {MODEL: h.answer(ANSWER), "gemini-2.5-flash": h.answer(CONTENT)}
        # Its own time-outs are much longer than that of an exchange.
        self._harness = harness(
            self._tmp_path, upstream=h.UpstreamConfig(), token_uris=[self.tokens.uri]
        )
        self.router = await self._harness.__aenter__()
        self.clock = self.router.keys._clock = Clock(self.router.clock)
        return self

    async def __aexit__(self, *raised):
        await self._harness.__aexit__(*raised)
        for server in self._servers:
            await server.__aexit__(*raised)

    async def provide(self, protocol=VERTEX, model=MODEL, **changes):
        publisher = PROJECT if protocol is VERTEX else PROJECT.replace("anthropic", "google")
        key = changes.pop("key", "") or google.file(self.tokens.uri)
        url = self.up.url.removesuffix("/v1") + publisher
        await self.router.provide(url, protocol=protocol, key=key, upstream_model=model, **changes)

    def sent_tokens(self):
        return [seen.headers["authorization"] for seen in self.up.seen]

    def counted(self, result):
        counter = self.router.metrics.counter("attempts_total", "", ("provider", "result"))
        return counter.labels("p0", result).value

    def assert_nothing_shown(self, messages=()):
        """Neither a piece of the file nor a token, in a log or in what a client gets."""
        shown = self.router.out.getvalue() + "".join(map(str, messages))
        secret = [*google.pieces(), google.TOKEN.rstrip("."), "invalid_grant", "JWT"]
        assert not [piece for piece in secret if piece in shown]


async def test_a_token_is_got_and_sent_in_the_keys_stead(tmp_path):
    """The form says what Google asks for; nothing of the file goes to the upstream."""
    async with World(tmp_path) as world:
        await world.provide()
        messages = await world.router.call(**call())
        (asked,) = world.tokens.seen
        assert "application/x-www-form-urlencoded" == asked.headers["content-type"]
        form = parse_qs(asked.body.decode(), strict_parsing=True)
        claims = google.claims(form["assertion"][0])
        assert world.tokens.uri == claims["aud"]
        assert abs(claims["iat"] - world.clock.unix_ms() / 1000) < 60
        assert [f"Bearer {world.tokens.tokens[0]}"] == world.sent_tokens()
        assert "x-goog-api-key" not in world.up.seen[0].headers
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        sent = str(world.up.seen)
        assert not [piece for piece in google.pieces() if piece in sent]
        world.assert_nothing_shown(messages)


async def test_gemini_on_vertex_is_called_with_a_token(tmp_path):
    """The same account, the other publisher."""
    async with World(tmp_path) as world:
        await world.provide(Protocol.GEMINI, "gemini-2.5-flash")
        messages = await world.router.call()
        assert b'"content":"hi"' in messages[0].data
        assert [f"Bearer {world.tokens.tokens[0]}"] == world.sent_tokens()
        path = PROJECT.replace("anthropic", "google")
        assert f"{path}/models/gemini-2.5-flash:generateContent" == world.up.seen[0].path


async def test_fifty_calls_at_once_get_one_token(tmp_path):
    """Whoever comes while it is got waits for the same one."""
    async with World(tmp_path) as world:
        world.tokens.pause = 0.1
        await world.provide()
        many = await asyncio.gather(*(world.router.call(**call()) for _ in range(50)))
        assert {pb.END_REASON_COMPLETED} == {end_of(messages).reason for messages in many}
        assert 1 == len(world.tokens.seen)
        assert 1 == len(set(world.sent_tokens()))


async def test_a_caller_that_leaves_takes_nothing_from_the_others(tmp_path):
    """The token is got for all who wait."""
    async with World(tmp_path) as world:
        world.tokens.pause = 0.1
        await world.provide()
        candidate = world.router.watch.snapshot.candidates(
            Protocol.ANTHROPIC_MESSAGES, "m", translated=False
        )[0]
        first = asyncio.create_task(world.router.keys.open(candidate))
        second = asyncio.create_task(world.router.keys.open(candidate))
        await asyncio.sleep(0.02)
        first.cancel()
        assert await second is world.router.keys.at_hand(candidate)
        assert 1 == len(world.tokens.seen)


async def test_a_token_is_used_until_five_minutes_before_its_end(tmp_path):
    """Beyond the minute for which its account is open; then it is got anew."""
    async with World(tmp_path) as world:
        await world.provide()
        for ahead in (0, provider_keys.KEEP_SECONDS + 1, 3_600 - provider_keys.RENEW_SECONDS - 9):
            world.clock.ahead = ahead
            world.router.keys.sweep()
            await world.router.call(**call())
        assert 1 == len(world.tokens.seen)
        world.clock.ahead = 3_600 - provider_keys.RENEW_SECONDS + 1
        await world.router.call(**call())
        assert 2 == len(world.tokens.seen)
        assert f"Bearer {world.tokens.tokens[1]}" == world.sent_tokens()[-1]


async def test_a_token_that_cannot_be_renewed_is_used_to_its_end(tmp_path):
    """A short outage of Google's token server is none of ours."""
    async with World(tmp_path) as world:
        await world.provide()
        await world.router.call(**call())
        world.tokens.told = h.answer({}, 500)
        world.clock.ahead = 3_600 - provider_keys.RENEW_SECONDS + 1
        assert pb.END_REASON_COMPLETED == end_of(await world.router.call(**call())).reason
        world.clock.ahead = 3_601
        world.router.keys.sweep()
        assert pb.END_REASON_NO_ROUTE == end_of(await world.router.call(**call())).reason
        assert 1 == len(set(world.sent_tokens()))


async def test_a_token_that_was_refused_is_got_anew_within_its_call(tmp_path):
    """It may have been revoked: many calls at once need one other, and nobody is alarmed."""
    async with World(tmp_path) as world:
        await world.provide()
        await world.router.call(**call())
        dead = f"Bearer {world.tokens.tokens[0]}"
        world.up.scripts[MODEL] = lambda: (
            h.answer({}, 401)
            if world.up.seen[-1].headers["authorization"] == dead
            else h.answer(ANSWER)
        )
        many = await asyncio.gather(*(world.router.call(**call()) for _ in range(5)))
        ends = [end_of(messages) for messages in many]
        assert {pb.END_REASON_COMPLETED} == {end.reason for end in ends}
        assert {2} == {end.attempts for end in ends}
        assert 2 == len(world.tokens.tokens)
        assert not world.router.logged("provider_key.refused")


async def test_a_key_whose_new_token_is_refused_as_well_is_bad(tmp_path):
    """Asked twice, once with each, then told: the operator is alarmed once, and the key rests."""
    async with World(tmp_path) as world:
        world.up.scripts[MODEL] = h.answer({}, 401)
        await world.provide()
        end = end_of(await world.router.call(**call()))
        assert (401, 2) == (end.upstream_error.http_status, end.attempts)
        assert [f"Bearer {token}" for token in world.tokens.tokens] == world.sent_tokens()
        assert 1 == len(world.router.logged("provider_key.refused"))
        assert ["token_refused", "bad_key"] == [
            result for result in ("token_refused", "bad_key", "refused") if world.counted(result)
        ]  # fmt: skip


async def test_without_another_token_the_refused_call_goes_to_the_next_key(tmp_path):
    """A token server that is away is no reason to send the dead one again."""
    async with World(tmp_path) as world:
        await world.provide()
        await world.router.call(**call())
        world.up.scripts[MODEL] = h.answer({}, 401)
        world.tokens.told = h.answer({}, 500)
        end = end_of(await world.router.call(**call()))
        assert (401, 1) == (end.upstream_error.http_status, end.attempts)
        assert 2 == len(world.up.seen)


async def test_a_removed_key_takes_its_token_along(tmp_path):
    """Nothing of it stays in memory."""
    async with World(tmp_path) as world:
        await world.provide()
        await world.router.call(**call())
        world.router.keys.sweep(keep=frozenset())
        assert ({}, {}) == (world.router.keys._open, world.router.keys._tokens)


@pytest.mark.parametrize(
    ("told", "why", "result"),
    [
        (h.answer(REFUSED, 400), "refused", "bad_key"),
        (h.answer(REFUSED, 401), "refused", "bad_key"),
        (h.answer({}, 429), "not_reached", "connect_failed"),
        (h.answer(REFUSED, 500), "not_reached", "connect_failed"),
        (h.answer({}, 302, "location: http://127.0.0.1:1/\r\n"), "not_reached", "connect_failed"),
        (h.answer({"access_token": google.TOKEN}), "no_token", "connect_failed"),
        ([h.http(200, b"<html>" + b"x" * 99)], "no_token", "connect_failed"),
        ([h.http(200, b"x" * 40_000)], "no_token", "connect_failed"),
        ([b"garbage\r\n\r\n", h.Close()], "not_reached", "connect_failed"),
        ([h.Reset()], "not_reached", "connect_failed"),
        ([h.Pause(60)], "timeout", "connect_failed"),
    ],
)
async def test_without_a_token_the_next_key_is_tried(tmp_path, monkeypatch, told, why, result):
    """As for a key that is no use: counted, logged by one word, and nothing of the answer shown."""
    monkeypatch.setattr(token_exchange, "EXCHANGE_SECONDS", 0.3)
    async with World(tmp_path) as world:
        world.tokens.told = told
        await world.provide()
        alone = await world.router.call(**call())
        assert (pb.END_REASON_NO_ROUTE, 0) == (end_of(alone).reason, end_of(alone).attempts)
        (line,) = world.router.logged("provider_key.no_token")
        assert (why, "pk-0-0") == (line["fault"], line["key_id"])
        assert 1 == world.router.metrics.counter(
            "token_exchanges_total", "", ("result",)
        ).labels(why).value  # fmt: skip
        assert 1 == world.counted(result)
        rows = world.router.store.rows
        await world.provide(key="AIza-a-plain-api-key-0123456789")
        (plain,) = world.router.store.rows.providers
        plain = replace(plain, name="plain")
        world.router.store.put((*rows.providers, plain), rows.prices)
        await world.router.watch.refresh()
        messages = await world.router.call(**call())
        assert pb.END_REASON_COMPLETED == end_of(messages).reason
        assert "AIza-a-plain-api-key-0123456789" == world.up.seen[0].headers["x-goog-api-key"]
        world.assert_nothing_shown([*alone, *messages])


async def test_fifty_calls_wait_for_one_failure(tmp_path):
    """A token server that is down is not stormed, and nobody waits longer than it takes."""
    async with World(tmp_path) as world:
        world.tokens.told = [h.Pause(0.2), *h.answer(REFUSED, 503)]
        await world.provide()
        many = await asyncio.gather(*(world.router.call(**call()) for _ in range(50)))
        assert {pb.END_REASON_NO_ROUTE} == {end_of(messages).reason for messages in many}
        assert 1 == len(world.tokens.seen)


async def test_tokens_are_got_at_addresses_on_the_list_alone(tmp_path):
    """A file that names another one, however it came into the store, is not exchanged there."""
    async with World(tmp_path) as world, fake_upstream(TokenServer()) as thief:
        await world.provide(key=google.file(thief.uri))
        messages = await world.router.call(**call())
        assert pb.END_REASON_NO_ROUTE == end_of(messages).reason
        assert ([], []) == (thief.seen, world.up.seen)
        assert thief.uri not in world.router.out.getvalue()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "echo",
    [
        lambda world: world.tokens.tokens[0],
        lambda world: world.tokens.tokens[0].rstrip("."),
        lambda _world: google.pieces()[3],
        lambda _world: google.pem(google.private_key()),
    ],
    ids=["token", "token-without-dots", "line-of-the-key", "key"],
)
async def test_an_upstream_that_sends_a_secret_back_is_cut(tmp_path, stream, echo):
    """As one that echoes an API key: nothing of it passes."""
    async with World(tmp_path) as world:

        def told():
            text = f"you sent {echo(world)}"
            if not stream:
                return h.answer({**ANSWER, "content": [{"type": "text", "text": text}]})
            document = {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
            frame = b"event: content_block_delta\ndata: %b\n\n" % json.dumps(document).encode()
            return [h.sse_head(), h.chunk(frame), h.END_CHUNK]

        world.up.scripts[MODEL] = told
        await world.provide()
        messages = await world.router.call(**call(stream=stream))
        assert pb.END_REASON_UPSTREAM_ERROR == end_of(messages).reason
        world.assert_nothing_shown(messages)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
async def test_a_refusal_that_repeats_the_token_is_scrubbed(tmp_path, status):
    """What may be said of it is said without."""
    async with World(tmp_path) as world:

        def told():
            message = f"bad: {world.tokens.tokens[0]} and {google.pieces()[2]}"
            return h.answer({"type": "error", "error": {"type": "x", "message": message}}, status)

        world.up.scripts[MODEL] = told
        await world.provide()
        world.assert_nothing_shown(await world.router.call(**call()))


async def test_an_operators_test_gets_a_token_as_well(tmp_path):
    """Or says in one word why there is none."""
    async with World(tmp_path) as world:
        await world.provide()
        provider = world.router.store.rows.providers[0]
        test = ProviderTest(
            world.router.upstream, world.router.keys, allow_private=True, clock=world.clock
        )
        found = await test.run(provider, provider.models[0])
        assert Found("", 200, found.latency_ms) == found
        world.clock.ahead = 3_700
        world.tokens.told = h.answer(REFUSED, 400)
        assert Found("bad_key") == await test.run(provider, provider.models[0])
        world.tokens.told = h.answer(REFUSED, 503)
        found = await test.run(provider, provider.models[0])
        assert Found("token_server_not_reached") == found


@pytest.mark.parametrize("form", [str, lambda token: base64.b64encode(token.encode()).decode()])
async def test_the_token_before_a_renewal_does_not_pass(tmp_path, form):
    """It is good for minutes yet, as it is and in base64."""
    async with World(tmp_path) as world:
        world.up.scripts[MODEL] = h.answer(ANSWER)
        await world.provide()
        await world.router.call(**call())
        world.clock.ahead = 3_600 - 299

        def told():
            text = form(world.tokens.tokens[0].rstrip("."))
            return h.answer({**ANSWER, "content": [{"type": "text", "text": text}]})

        world.up.scripts[MODEL] = told
        messages = await world.router.call(**call())
        assert 2 == len(world.tokens.tokens)
        assert pb.END_REASON_UPSTREAM_ERROR == end_of(messages).reason
        assert form(world.tokens.tokens[0].rstrip(".")) not in str(messages)
