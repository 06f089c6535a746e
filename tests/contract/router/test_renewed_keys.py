"""Upstream keys are encrypted anew on PostgreSQL while a router serves and takes keys in."""

import asyncio

import psycopg
import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import fake_upstream
from tests.contract.router.test_admin_postgres import SECRET, provide, router_on_postgres
from tollgate.router.v1 import router_pb2 as pb
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.keyring.move import renew
from tollgate_kit.postgres.durability import connect_durable
from tollgate_kit.secret import Secret
from tollgate_router.providers.provider_keys import KEYRING_KEY
from tollgate_router.rekey import RunningRows

FIRST, SECOND = ("aes256", Secret(b"1" * 32)), ("aes256", Secret(b"2" * 32))
ONE = FileKeyring({KEYRING_KEY: FIRST})
BOTH = FileKeyring({KEYRING_KEY: FIRST, f"{KEYRING_KEY}-2": SECOND})
NEWEST = FileKeyring({f"{KEYRING_KEY}-2": SECOND})


async def renewed(dsn: str) -> int:
    async with await connect_durable(Secret(dsn)) as connection:
        return await renew(RunningRows(connection), KEYRING_KEY, BOTH, lambda *_: None)


async def test_calls_go_on_without_the_old_version(tmp_path, postgres_dsn):
    """A router reads what was encrypted anew, and then needs the old version for no call."""
    dsn = postgres_dsn()
    async with fake_upstream() as up, router_on_postgres(tmp_path, dsn) as router:
        up.scripts["m"] = h.answer()
        router.keyring.take_over(ONE)
        await provide(router, up.url)
        await router.call()
        router.keyring.take_over(BOTH)
        assert 1 == await renewed(dsn)
        await router.watch.refresh()
        router.keyring.take_over(NEWEST)
        router.keys.ready(False)
        await router.call()
        assert [f"Bearer {SECRET}"] * 2 == [seen.headers["authorization"] for seen in up.seen]


async def test_a_key_that_is_added_meanwhile_is_encrypted_when_its_change_has_its_turn(
    tmp_path, postgres_dsn
):
    """So who has waited for the changes before knows that none is stored under the old version."""
    dsn = postgres_dsn()
    async with router_on_postgres(tmp_path, dsn) as router:
        router.keyring.take_over(ONE)
        await provide(router, "https://api.example.com/v1")
        with psycopg.connect(dsn) as other:
            other.execute("select from catalogue_revision for update")
            request = pb.AddProviderKeyRequest(request_id="k2", provider="p", secret=SECRET)
            adding = asyncio.create_task(router.admin.AddProviderKey(request, None))
            await asyncio.sleep(0.3)
            assert not adding.done()
            router.keyring.take_over(BOTH)
        added = await adding
        (provider,) = (await router.store.load()).providers
        (sealed,) = [key.encrypted for key in provider.keys if key.key_id == added.key_id]
        assert sealed.startswith("tg2.2.")


@pytest.mark.parametrize(
    "change", ["delete from provider_key", "update provider_key set sealed='x'"]
)
async def test_a_row_that_changes_meanwhile_is_not_written_over(tmp_path, postgres_dsn, change):
    """Compare and set: what was encrypted anew from what is no longer there is dropped."""
    dsn = postgres_dsn()
    async with router_on_postgres(tmp_path, dsn) as router:
        await provide(router, "https://api.example.com/v1")
        async with await connect_durable(Secret(dsn)) as connection:
            rows = RunningRows(connection)
            (row,) = await rows.after(None, 2)
            await connection.execute(change)
            assert not await rows.replace(row, "anew")
            assert "anew" not in [found.encrypted for found in await rows.after(None, 2)]
