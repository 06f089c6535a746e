"""RemoveProviderKey on PostgreSQL: how an upstream key is rotated."""

import pytest

from tests.contract.router import harness as h
from tests.contract.router.harness import fake_upstream
from tests.contract.router.test_admin_postgres import SECRET, provide, router_on_postgres
from tollgate.router.v1 import router_pb2 as pb
from tollgate_kit.rpc.failure import Failure

NEXT = f"{SECRET}-next"


def remove(key_id: str, request_id: str = "rm1") -> pb.RemoveProviderKeyRequest:
    return pb.RemoveProviderKeyRequest(request_id=request_id, provider="p", key_id=key_id)


async def test_no_call_begins_with_a_removed_key(tmp_path, postgres_dsn):
    """The next call goes with the key that is left, the intent is in the log, a repeat is none."""
    async with fake_upstream() as up, router_on_postgres(tmp_path, postgres_dsn()) as router:
        up.scripts["m"] = h.answer()
        old = await provide(router, up.url)
        added = pb.AddProviderKeyRequest(request_id="k2", provider="p", secret=NEXT)
        new = await router.admin.AddProviderKey(added, None)
        answer = await router.admin.RemoveProviderKey(remove(old.key_id), None)
        await router.call()
        assert [f"Bearer {NEXT}"] == [seen.headers["authorization"] for seen in up.seen]
        (provider,) = (await router.store.load()).providers
        assert [new.key_id] == [key.key_id for key in provider.keys]
        entries = len(router.evidence.entries)
        assert answer == await router.admin.RemoveProviderKey(remove(old.key_id), None)
        assert entries == len(router.evidence.entries)


async def test_a_providers_only_key_stays(tmp_path, postgres_dsn):
    """Neither the only key nor one that is not there is removed, nor any without evidence."""
    async with router_on_postgres(tmp_path, postgres_dsn()) as router:
        key = await provide(router, "https://api.example.com/v1")
        for key_id, reason in ((key.key_id, "INVALID_FIELD"), ("pk-other", "NOT_FOUND")):
            with pytest.raises(Failure) as refused:
                await router.admin.RemoveProviderKey(remove(key_id), None)
            assert reason == refused.value.reason
        added = pb.AddProviderKeyRequest(request_id="k2", provider="p", secret=NEXT)
        await router.admin.AddProviderKey(added, None)
        before = await router.store.load()
        router.evidence.away = True
        with pytest.raises(Failure):
            await router.admin.RemoveProviderKey(remove(key.key_id), None)
        assert before == await router.store.load()
