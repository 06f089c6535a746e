"""What tollgate_authz.tenants.store.Store promises, by the twin in memory and by the real Postgres."""

import asyncio

import psycopg
import pytest

from tests.authz_records import change, filled, group, key, key_mac, new_id, nothing, tenant
from tollgate_authz.tenants.directory import (
    AddGroup,
    AddKey,
    AddTenant,
    KeyState,
    Missing,
    RevokedForGood,
    SetKeyState,
    SetTenantEnabled,
    Taken,
)
from tollgate_authz.tenants.store_memory import MemoryStore
from tollgate_authz.tenants.store_postgres import PostgresStore
from tollgate_kit.changes.request import Applied
from tollgate_kit.config import PostgresConfig
from tollgate_kit.postgres import pool as pg
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.secret import Secret

KEPT = 5


@pytest.fixture(params=["memory", "postgres"])
async def store(request):
    if request.param == "memory":
        yield MemoryStore(revisions_kept=KEPT)
        return
    config = PostgresConfig(Secret(request.getfixturevalue("postgres_dsn")()), 1, 8)
    await pg.migrate(config, package="tollgate_authz")
    pool = await pg.open_pool(config, name="test")
    yield PostgresStore(pool, revisions_kept=KEPT)
    await pool.close()


async def do(store, effect, **fields):
    return await store.apply(change(effect, **fields), nothing)


def revoke(key_id, state=KeyState.REVOKED):
    return SetKeyState(key_id=key_id, state=state, reason="lost")


async def test_a_key_is_found_with_all_a_decision_needs(store):
    """One read gives the key, its MAC, and its tenant's state."""
    made, issued = await filled(
        store,
        with_group=True,
        allowed_models=("a", "b/c:d"),
        ip_allowlist=("192.0.2.0/24", "2001:db8::/32"),
        requests_per_minute=3,
        tokens_per_minute=10**12,
        expire_unix_ms=9_999_999_999_999,
    )
    found = await store.find(issued.public_id)
    assert found.subject is not None
    assert issued == found.subject.key
    assert key_mac() == found.subject.key_mac
    assert found.subject.tenant_enabled is True
    await do(store, SetTenantEnabled(tenant_id=made.tenant_id, enabled=False))
    found = await store.find(issued.public_id)
    assert found.subject is not None
    assert found.subject.tenant_enabled is False


async def test_an_unknown_key_is_found_missing_at_a_revision(store):
    """No such key is an answer, with the revision it was true at."""
    found = await store.find("A" * 12)
    assert (None, 1) == (found.subject, found.revision)


async def test_lists(store):
    """Everything is listed in the order of its creation, and only its tenant's."""
    one, other = tenant(), tenant()
    for record in (one, other):
        await do(store, AddTenant(record))
    groups = [group(one.tenant_id), group(one.tenant_id)]
    keys = [key(one.tenant_id, group_id=groups[0].group_id), key(one.tenant_id)]
    for record in groups:
        await do(store, AddGroup(record))
    for record in keys:
        await do(store, AddKey(record, key_mac()))
    assert [one, other] == list(await store.tenants())
    assert groups == list(await store.groups(one.tenant_id))
    assert keys == list(await store.keys(one.tenant_id))
    assert [] == list(await store.keys(other.tenant_id))
    assert keys[1] == await store.key(keys[1].key_id)
    assert await store.key("nobody") is None


async def test_refusals_change_nothing(store):
    """What is missing, taken or final is refused before evidence, and the request_id stays free."""
    made, issued = await filled(store)
    stranger = group(made.tenant_id)
    await do(store, AddGroup(stranger))
    other = tenant()
    await do(store, AddTenant(other))
    await do(store, revoke(issued.key_id))

    async def never():
        raise AssertionError("evidence of a change that is not made")

    for effect, outcome in (
        (AddTenant(tenant(name=made.name)), Taken(kind="tenant")),
        (AddGroup(group(made.tenant_id, name=stranger.name)), Taken(kind="group")),
        (AddGroup(group("nobody")), Missing(kind="tenant", identifier="nobody")),
        (AddKey(key("nobody"), key_mac()), Missing(kind="tenant", identifier="nobody")),
        (
            AddKey(key(made.tenant_id, group_id="no"), key_mac()),
            Missing(kind="group", identifier="no"),
        ),
        (
            AddKey(key(other.tenant_id, group_id=stranger.group_id), key_mac()),
            Missing(kind="group", identifier=stranger.group_id),
        ),
        (revoke("nobody"), Missing(kind="key", identifier="nobody")),
        (
            SetTenantEnabled(tenant_id="nobody", enabled=False),
            Missing(kind="tenant", identifier="nobody"),
        ),
        (revoke(issued.key_id, KeyState.ENABLED), RevokedForGood()),
        (revoke(issued.key_id, KeyState.DISABLED), RevokedForGood()),
    ):
        asked = change(effect)
        assert outcome == await store.apply(asked, never)
        retried = change(AddTenant(tenant()), request_id=asked.request.request_id, content="x")
        assert isinstance(await store.apply(retried, nothing), Applied)
    found = await store.find(issued.public_id)
    assert (KeyState.REVOKED, 2) == (found.subject.key.state, found.revision)


async def test_a_request_is_carried_out_once(store):
    """Same id and content: the stored answer. Other content: a mismatch. Evidence once."""
    told = []

    async def tell():
        told.append(1)

    _, issued = await filled(store)
    first = change(revoke(issued.key_id), request_id="R", content="c", answer="first")
    again = change(revoke(issued.key_id), request_id="R", content="c", answer="again")
    other = change(revoke(issued.key_id), request_id="R", content="d")
    assert Applied(b"first at 2", replayed=False) == await store.apply(first, tell)
    assert Applied(b"first at 2", replayed=True) == await store.apply(again, tell)
    with pytest.raises(Failure, match="IDEMPOTENCY_MISMATCH"):
        await store.apply(other, tell)
    assert [1] == told
    assert 2 == (await store.find(issued.public_id)).revision


async def test_the_same_request_at_once_is_carried_out_once(store):
    """Ten concurrent copies of a request: one change, nine replays."""
    made = tenant()

    async def slowly():
        await asyncio.sleep(0.02)

    asked = change(AddTenant(made), request_id="R")
    outcomes = await asyncio.gather(*(store.apply(asked, slowly) for _ in range(8)))
    assert 1 == sum(not o.replayed for o in outcomes)
    assert [made] == list(await store.tenants())


async def test_a_revocation_is_not_undone_by_a_concurrent_change(store):
    """An enable that began while a revocation was being made does not bring the key back."""
    _, issued = await filled(store)
    revoking = asyncio.Event()

    async def slowly():
        revoking.set()
        await asyncio.sleep(0.1)

    revocation = asyncio.ensure_future(store.apply(change(revoke(issued.key_id)), slowly))
    await revoking.wait()
    assert RevokedForGood() == await do(store, revoke(issued.key_id, KeyState.ENABLED))
    assert isinstance(await revocation, Applied)
    assert KeyState.REVOKED is (await store.key(issued.key_id)).state


async def test_no_effect_without_evidence(store):
    """When the evidence cannot be taken, nothing has changed and a retry is carried out."""
    _, issued = await filled(store)
    asked = change(revoke(issued.key_id))

    async def fail():
        found = await store.find(issued.public_id)
        assert (KeyState.ENABLED, 1) == (found.subject.key.state, found.revision)
        raise RuntimeError("audit is away")

    with pytest.raises(RuntimeError, match="audit is away"):
        await store.apply(asked, fail)
    found = await store.find(issued.public_id)
    assert (KeyState.ENABLED, 1) == (found.subject.key.state, found.revision)
    assert Applied(b"a at 2", replayed=False) == await store.apply(asked, nothing)


async def test_only_what_takes_away_has_a_revision(store):
    """Disable, revoke and suspend are in the log, in order; enable, resume and create are not."""
    made, issued = await filled(store)
    head = (await store.revocations(after=0, limit=10)).through_revision
    for effect in (
        revoke(issued.key_id, KeyState.DISABLED),
        revoke(issued.key_id, KeyState.ENABLED),
        SetTenantEnabled(tenant_id=made.tenant_id, enabled=False),
        SetTenantEnabled(tenant_id=made.tenant_id, enabled=True),
        revoke(issued.key_id),
    ):
        await do(store, effect)
    found = await store.revocations(after=head, limit=10)
    assert ([issued.key_id] * 2, [made.tenant_id]) == (list(found.key_ids), list(found.tenant_ids))
    assert (head + 3, True) == (found.through_revision, found.resumable)
    nothing_new = await store.revocations(after=head + 3, limit=10)
    assert ([], [], head + 3) == (
        list(nothing_new.key_ids),
        list(nothing_new.tenant_ids),
        nothing_new.through_revision,
    )


async def test_cursors(store):
    """0 is now; pages follow one another; too old, or of another log, cannot be resumed."""
    _, issued = await filled(store)
    assert (1, True) == await at(store, 0)
    assert (1, True) == await at(store, 1)
    assert (1, False) == await at(store, 2)
    for _ in range(KEPT):
        await do(store, revoke(issued.key_id, KeyState.DISABLED))
    head = 1 + KEPT
    assert (head, True) == await at(store, 0)
    assert (3, True) == await at(store, 1, limit=2)
    assert (head, True) == await at(store, 3, limit=3)
    await do(store, revoke(issued.key_id, KeyState.DISABLED))
    assert (head + 1, False) == await at(store, 1)
    assert (head + 1, True) == await at(store, 2)
    assert (head + 1, False) == await at(store, head + 2)


async def at(store, after, limit=100):
    found = await store.revocations(after=after, limit=limit)
    assert found.resumable or not [*found.key_ids, *found.tenant_ids]
    return found.through_revision, found.resumable


async def test_revisions_become_visible_in_order(store):
    """A reader that follows the log beside concurrent writers misses no revision."""
    _, issued = await filled(store)
    seen: list[int] = []

    async def write(pause):
        await store.apply(
            change(revoke(issued.key_id, KeyState.DISABLED)), lambda: asyncio.sleep(pause)
        )

    async def follow():
        cursor = 1
        while cursor < 1 + KEPT:
            found = await store.revocations(after=cursor, limit=100)
            assert found.resumable
            assert found.through_revision - cursor == len(found.key_ids)
            cursor = found.through_revision
            seen.append(cursor)
            await asyncio.sleep(0)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(follow())
        for n in range(KEPT):
            tasks.create_task(write(0.01 * (KEPT - n)))
    assert sorted(seen) == seen


async def test_the_database_alone_refuses_what_the_code_would_not_write(postgres_dsn):
    """The schema keeps a key in its tenant's groups, and one head of the log."""
    config = PostgresConfig(Secret(postgres_dsn()), 1, 4)
    applied = await pg.migrate(config, package="tollgate_authz")
    assert ["0001_directory.sql", "0002_caps_are_budgets.sql", "0003_change_request.sql"] == applied
    assert [] == await pg.migrate(config, package="tollgate_authz")
    async with await psycopg.AsyncConnection.connect(
        config.dsn.reveal(), autocommit=True
    ) as connection:
        for statement in (
            "INSERT INTO revision_head (revision) VALUES (9)",
            "UPDATE revision_head SET revision = 0",
            "INSERT INTO revocation VALUES (2, NULL, NULL, '')",
            "INSERT INTO change_request VALUES ('R', 'short', '', 1)",
            f"INSERT INTO tenant_group VALUES ('{new_id()}', 'nobody', 'n', 1)",
        ):
            with pytest.raises(psycopg.IntegrityError):
                await connection.execute(statement)
