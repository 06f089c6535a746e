"""The catalogue's store on real Postgres, and the admin RPCs that change it."""

import asyncio
import contextlib
import json
from dataclasses import replace

import psycopg
import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import fake_upstream, harness
from tollgate.audit.v1 import audit_pb2
from tollgate.router.v1 import router_pb2
from tollgate_kit.config import PostgresConfig
from tollgate_kit.ids import Ids
from tollgate_kit.keyring.base import KeyringAway
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.secret import Secret
from tollgate_router.admin_servicer import RouterAdminServicer
from tollgate_router.provider_test import ProviderTest
from tollgate_router.providers.store_postgres import PostgresStore

pb = router_pb2
SECRET = "sk-planted-canary-77aa88bb99"


@contextlib.asynccontextmanager
async def router_on_postgres(tmp_path, dsn):
    config = PostgresConfig(Secret(dsn), 1, 4)
    await pg.migrate(config, package="tollgate_router")
    pool = await pg.open_pool(config, name="test")
    async with harness(tmp_path) as router:
        router.store = PostgresStore(pool, clock=router.clock)
        router.watch._store = router.store
        router.admin = RouterAdminServicer(
            store=router.store,
            watch=router.watch,
            keys=router.keys,
            evidence=router.evidence,
            tester=ProviderTest(
                router.upstream, router.keys, allow_private=True, clock=router.clock
            ),
            allow_private=True,
            token_uris=router.token_uris,
            ids=Ids(router.clock),
            clock=router.clock,
        )
        try:
            yield router
        finally:
            await pool.close()


def add_request(request_id="q1", url="https://api.example.com/v1", **changes):
    values = {
        "request_id": request_id,
        "name": "p",
        "protocol": pb.CLIENT_PROTOCOL_OPENAI_CHAT,
        "base_url": url,
        "models": [pb.ProviderModel(model="m", upstream_model="m")],
    }
    return pb.AddProviderRequest(**(values | changes))


def price_request(request_id="pr1", **changes):
    return pb.SetPriceRequest(
        request_id=request_id,
        price=pb.Price(
            **(
                {
                    "model": "m",
                    "input_pico_usd": 1_000_000,
                    "output_pico_usd": 2_000_000,
                    "max_input_tokens": 1000,
                    "max_output_tokens": 1000,
                }
                | changes
            )
        ),
    )


async def provide(router, url, **changes):
    await router.admin.SetPrice(price_request(), None)
    await router.admin.AddProvider(add_request(url=url, **changes), None)
    return await router.admin.AddProviderKey(
        pb.AddProviderKeyRequest(request_id="k1", provider="p", secret=SECRET), None
    )


async def test_an_added_provider_carries_calls(tmp_path, postgres_dsn):
    """Provider, key and price by admin RPC: the next call goes there with that key."""
    async with fake_upstream() as up, router_on_postgres(tmp_path, postgres_dsn()) as router:
        up.scripts["m"] = h.answer()
        key = await provide(router, up.url)
        (message,) = await router.call()
        assert 20_000 == message.end.cost_nano_usd
        assert f"Bearer {SECRET}" == up.seen[0].headers["authorization"]
        (listed,) = (await router.admin.ListProviders(pb.ListProvidersRequest(), None)).providers
        assert ("p", [key.key_id], True) == (listed.name, list(listed.key_ids), listed.enabled)
        models = await router.servicer.ListModels(pb.ListModelsRequest(), None)
        (model,) = models.models
        assert ("m", [pb.CLIENT_PROTOCOL_OPENAI_CHAT], 1) == (
            model.model,
            list(model.protocols),
            model.price.version,
        )
        same = await router.servicer.ListModels(
            pb.ListModelsRequest(if_newer_than_revision=models.revision), None
        )
        assert (models.revision, 0) == (same.revision, len(same.models))


async def test_a_provider_keeps_that_it_refuses_include_usage(tmp_path, postgres_dsn):
    """As the operator said it: stored, listed, in the evidence, and in what is sent there."""
    async with fake_upstream() as up, router_on_postgres(tmp_path, postgres_dsn()) as router:
        up.scripts["m"] = [h.sse_head() + h.chunk(h.USAGE_FRAME + h.DONE) + h.END_CHUNK]
        await provide(router, up.url, without_include_usage=True)
        await router.call(stream=True)
        assert "stream_options" not in json.loads(up.seen[0].body)
        (listed,) = (await router.admin.ListProviders(pb.ListProvidersRequest(), None)).providers
        assert listed.without_include_usage
        (added,) = [e for _, e in router.evidence.entries if e["action"] == "add_provider"]
        assert added["without_include_usage"]


async def test_the_key_is_stored_encrypted_only(tmp_path, postgres_dsn):
    """No table, log line or audit entry holds the key, nor a digest made from it alone."""
    dsn = postgres_dsn()
    async with fake_upstream() as up, router_on_postgres(tmp_path, dsn) as router:
        up.scripts["m"] = h.answer()
        await provide(router, up.url)
        await router.call()
        dump = ""
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            for table in ("provider", "provider_key", "provider_model", "price", "change_request"):
                cursor = await connection.execute(f"select t::text from {table} t")
                dump += str(await cursor.fetchall())
        assert "pk-" in dump
        said = dump + router.out.getvalue() + str(router.evidence.entries)
        assert SECRET not in said
        assert SECRET.encode().hex() not in said


async def test_a_keyring_that_is_away_is_said(tmp_path, postgres_dsn, monkeypatch):
    """Vault sealed: no key is added, the operator reads why, and no bug is told of."""

    async def sealed(*_given):
        raise KeyringAway("Vault is sealed")

    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        monkeypatch.setattr(router.keys._keyring, "encrypt", sealed)
        with pytest.raises(Failure) as refused:
            await provide(router, "https://api.example.com/v1")
        assert {"store": "keyring"} == refused.value.metadata


async def test_evidence_comes_before_the_effect(tmp_path, postgres_dsn):
    """Each change leaves its entry first; without audit nothing is changed."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        await provide(router, "https://api.example.com/v1")
        await router.admin.SetProviderEnabled(
            pb.SetProviderEnabledRequest(request_id="e1", name="p", enabled=False), None
        )
        kinds = [(kind, entry["action"]) for kind, entry in router.evidence.entries]
        changed = audit_pb2.ENTRY_KIND_PROVIDER_CHANGED
        assert [
            (audit_pb2.ENTRY_KIND_PRICE_CHANGED, "set_price"),
            (changed, "add_provider"),
            (changed, "add_provider_key"),
            (changed, "disable_provider"),
        ] == kinds
        before = await router.store.load()
        router.evidence.away = True
        for attempt in (
            router.admin.SetPrice(price_request("pr2", input_pico_usd=9), None),
            router.admin.AddProvider(add_request("q2", name="p2"), None),
            router.admin.AddProviderKey(
                pb.AddProviderKeyRequest(request_id="k2", provider="p", secret=SECRET), None
            ),
            router.admin.SetProviderEnabled(
                pb.SetProviderEnabledRequest(request_id="e2", name="p", enabled=True), None
            ),
        ):
            with pytest.raises(Failure) as refused:
                await attempt
            assert "AUDIT_NOT_DURABLE" == refused.value.reason
        assert before == await router.store.load()


async def test_a_repeat_changes_nothing(tmp_path, postgres_dsn):
    """The same request id gets the stored answer; with other content it is refused."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        key = await provide(router, "https://api.example.com/v1")
        before, entries = await router.store.load(), len(router.evidence.entries)
        again = await provide(router, "https://api.example.com/v1")
        assert key == again
        assert (before, entries) == (await router.store.load(), len(router.evidence.entries))
        other_key = pb.AddProviderKeyRequest(request_id="k1", provider="p", secret=SECRET + "x")
        for other in (
            router.admin.AddProvider(add_request(url="https://other.example.com"), None),
            router.admin.SetPrice(price_request(input_pico_usd=5), None),
            router.admin.AddProviderKey(other_key, None),
            router.admin.SetPrice(price_request("q1"), None),
        ):
            with pytest.raises(Failure) as refused:
                await other
            assert "IDEMPOTENCY_MISMATCH" == refused.value.reason


async def test_concurrent_twins_are_one(tmp_path, postgres_dsn):
    """The same request sent ten times at once makes one provider and ten equal answers."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        answers = await asyncio.gather(
            *(router.admin.AddProvider(add_request(), None) for _ in range(10))
        )
        assert 1 == len({answer.SerializeToString() for answer in answers})
        assert 1 == len((await router.store.load()).providers)
        add_key = pb.AddProviderKeyRequest(request_id="k1", provider="p", secret=SECRET)
        keys = await asyncio.gather(
            *(router.admin.AddProviderKey(add_key, None) for _ in range(10))
        )
        assert 1 == len({answer.key_id for answer in keys})
        assert 1 == len((await router.store.load()).providers[0].keys)
        assert 2 == len(router.evidence.entries)


async def test_prices_set_at_once_are_versions_one_after_the_other(tmp_path, postgres_dsn):
    """Two operators at the same moment: each change is made, and none takes the other's number."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        made = await asyncio.gather(
            *(
                router.admin.SetPrice(price_request(f"x{n}", input_pico_usd=n), None)
                for n in range(5)
            )
        )
        assert [1, 2, 3, 4, 5] == sorted(answer.price.version for answer in made)


async def test_prices_are_immutable_versions(tmp_path, postgres_dsn):
    """A new price is a new version; the database refuses to change or delete one."""
    dsn = postgres_dsn()
    async with router_on_postgres(tmp_path, dsn) as router:
        for number in range(3):
            made = await router.admin.SetPrice(
                price_request(f"x{number}", input_pico_usd=number, version=77, source="seed"), None
            )
            assert (number + 1, "operator") == (made.price.version, made.price.source)
        listed = await router.admin.ListPrices(pb.ListPricesRequest(model="m"), None)
        assert [3] == [p.version for p in listed.prices]
        await router.watch.refresh()
        assert 1 == router.watch.snapshot.price("m", 2).fields()["input_pico_usd"]
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            for statement in ("update price set input_pico_usd = 0", "delete from price"):
                with pytest.raises(psycopg.errors.RaiseException):
                    await connection.execute(statement)


async def test_seeding_makes_versions_only_for_changes(tmp_path, postgres_dsn):
    """Re-seeding changes nothing unless a shipped price changed, and never an operator's."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        seed = [h.price("m"), h.price("n")]
        assert 2 == await router.store.seed_prices(seed)
        revision = await router.store.revision()
        assert 0 == await router.store.seed_prices(seed)
        assert revision == await router.store.revision()
        await router.admin.SetPrice(price_request(), None)
        dearer = [replace(p, rates=(5_000_000, *p.rates[1:])) for p in seed]
        assert 1 == await router.store.seed_prices(dearer)
        newest = {p.model: p for p in await router.store.newest_prices()}
        assert ("operator", 2) == (newest["m"].source, newest["m"].version)
        assert ("seed", 2, 5_000_000) == (
            newest["n"].source,
            newest["n"].version,
            newest["n"].fields()["input_pico_usd"],
        )


BAD = {
    "request_id": {"request_id": ""},
    "name": {"name": "A B"},
    "protocol": {"protocol": 0},
    "base_url": {"base_url": "http://api.example.com"},
    "metadata": {"base_url": "https://169.254.169.254"},
    "models": {"models": []},
}


@pytest.mark.parametrize("case", sorted(BAD))
async def test_bad_providers_are_refused(tmp_path, postgres_dsn, case):
    """What makes no sense is refused by field, before audit and store."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        with pytest.raises(Failure) as refused:
            await router.admin.AddProvider(add_request(**BAD[case]), None)
        assert "INVALID_FIELD" == refused.value.reason
        assert [] == router.evidence.entries


async def test_unknown_names_are_not_found(tmp_path, postgres_dsn):
    """A key, a switch or a test for a provider that is not there is NOT_FOUND."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        for attempt in (
            router.admin.AddProviderKey(
                pb.AddProviderKeyRequest(request_id="k", provider="p", secret=SECRET), None
            ),
            router.admin.SetProviderEnabled(
                pb.SetProviderEnabledRequest(request_id="e", name="p"), None
            ),
            router.admin.TestProvider(pb.TestProviderRequest(name="p"), None),
        ):
            with pytest.raises(Failure) as refused:
                await attempt
            assert "NOT_FOUND" == refused.value.reason


async def test_disabling_takes_effect_at_once(tmp_path, postgres_dsn):
    """A disabled provider gets no call; enabled again it does."""
    async with fake_upstream() as up, router_on_postgres(tmp_path, postgres_dsn()) as router:
        up.scripts["m"] = h.answer()
        await provide(router, up.url)
        reasons = []
        for number, enabled in enumerate((False, True)):
            await router.admin.SetProviderEnabled(
                pb.SetProviderEnabledRequest(request_id=f"e{number}", name="p", enabled=enabled),
                None,
            )
            reasons.append((await router.call())[-1].end.reason)
        assert [pb.END_REASON_NO_ROUTE, pb.END_REASON_COMPLETED] == reasons


async def test_other_replicas_follow(tmp_path, postgres_dsn):
    """A change by one process is seen by another's poll within a second."""
    dsn = postgres_dsn()
    other = tmp_path / "other"
    other.mkdir()
    async with (
        router_on_postgres(tmp_path, dsn) as one,
        router_on_postgres(other, dsn) as two,
        asyncio.timeout(5),
    ):
        poll = asyncio.ensure_future(two.watch.run())
        await provide(one, "https://api.example.com/v1")
        began = two.clock.monotonic()
        while two.watch.snapshot.revision != one.watch.snapshot.revision:
            await asyncio.sleep(0.02)
        assert two.clock.monotonic() - began < 1.0
        poll.cancel()


async def test_a_moved_address_loses_its_key(tmp_path, postgres_dsn):
    """base_url changed in the database: the key does not open, the new host hears nothing."""
    dsn = postgres_dsn()
    async with (
        fake_upstream() as up,
        fake_upstream() as thief,
        router_on_postgres(tmp_path, dsn) as router,
    ):
        await provide(router, up.url)
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await connection.execute("update provider set base_url = %s", (thief.url,))
            await connection.execute("update catalogue_revision set revision = revision + 1")
        await router.watch.refresh()
        (message,) = await router.call()
        assert (pb.END_REASON_NO_ROUTE, 0) == (message.end.reason, thief.connections)
        found = await router.admin.TestProvider(pb.TestProviderRequest(name="p"), None)
        assert ("key_not_opened", 0) == (found.problem, thief.connections)


@pytest.mark.parametrize(
    ("script", "ok", "problem"),
    [
        (h.answer(), True, ""),
        (h.answer({}, 401), False, "bad_key"),
        (h.answer({}, 404), False, "model_not_found"),
        (h.answer({}, 500), False, "server_error"),
        ([h.http(200, b"<html>")], False, "not_json"),
        ([h.Reset()], False, "broken"),
        ([h.Pause(3)], False, "timeout"),
    ],
)
async def test_test_provider_says_how_it_went(tmp_path, postgres_dsn, script, ok, problem):
    """TestProvider makes one small real call and says in a word what failed."""
    async with fake_upstream() as up, router_on_postgres(tmp_path, postgres_dsn()) as router:
        up.scripts["m"] = script
        await provide(router, up.url)
        found = await router.admin.TestProvider(pb.TestProviderRequest(name="p"), None)
        assert (ok, problem) == (found.ok, found.problem)
        assert 16 == json.loads(up.seen[0].body)["max_tokens"]


async def test_test_provider_refused(tmp_path, postgres_dsn):
    """A provider where nobody listens is "not_reached"."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        await provide(router, "http://127.0.0.1:1/v1")
        found = await router.admin.TestProvider(pb.TestProviderRequest(name="p"), None)
        assert ("not_reached", "refused", 0) == (found.problem, found.unreached, found.http_status)
