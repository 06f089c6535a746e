"""Decryptions in batches: bounded, and whoever waits is answered whatever happens."""

import asyncio

import pytest

from tollgate_kit.keyring.base import DecryptFailed, KeyringAway
from tollgate_kit.keyring.vault import batches
from tollgate_kit.keyring.vault.batches import Batches
from tollgate_kit.secret import Secret


async def test_what_does_not_fit_is_refused_at_once(monkeypatch):
    """A Vault that is silent does not fill memory: the bound counts what has no answer yet."""
    monkeypatch.setattr(batches, "WAITING_MAX", 10)
    gate = asyncio.Event()

    async def send(_name, items):
        await gate.wait()
        return [Secret(context) for context, _ in items]

    sent = Batches(send)
    waiting = [asyncio.create_task(sent.decrypt("k", f"c{n}", "t")) for n in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(KeyringAway, match="10 decryptions wait"):
        await sent.decrypt("k", "c", "t")
    gate.set()
    assert [Secret(f"c{n}") for n in range(10)] == await asyncio.gather(*waiting)
    assert Secret("c") == await sent.decrypt("k", "c", "t")


async def test_a_batch_is_of_one_key_and_has_a_bound(monkeypatch):
    """Names never mix, and a full batch goes without waiting for its time."""
    monkeypatch.setattr(batches, "BATCH_MAX", 4)
    seen = []

    async def send(name, items):
        seen.append((name, len(items)))
        return [Secret("p")] * len(items)

    sent = Batches(send)
    await asyncio.gather(*(sent.decrypt(f"k{n % 2}", "c", "t") for n in range(12)))
    assert [("k0", 2), ("k0", 4), ("k1", 2), ("k1", 4)] == sorted(seen)


@pytest.mark.parametrize("error", [KeyringAway("sealed"), RuntimeError("a bug")])
async def test_a_batch_that_fails_fails_for_all_who_wait(error):
    """Nobody waits for ever, not even for a mistake of ours."""

    async def send(_name, _items):
        raise error

    asked = [Batches(send).decrypt("k", "c", "t")]
    one = Batches(send)
    asked += [one.decrypt("k", "c", "t") for _ in range(3)]
    assert [error] * 4 == await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("item", [("", "t"), ("c", "t" * (2 << 20))], ids=["context", "length"])
async def test_what_would_fail_a_whole_batch_is_not_sent(item):
    """hashicorp/vault#13111: a row that somebody spoilt fails alone, not the keys beside it."""

    async def send(_name, items):
        assert item not in items
        return [Secret("p")] * len(items)

    sent = Batches(send)
    good, spoilt = await asyncio.gather(
        sent.decrypt("k", "c", "t"), sent.decrypt("k", *item), return_exceptions=True
    )
    assert Secret("p") == good
    assert isinstance(spoilt, DecryptFailed)


async def test_an_item_that_fails_fails_alone():
    """Its neighbours have their plaintexts."""

    async def send(_name, items):
        return [DecryptFailed("no") if text == "bad" else Secret("p") for _, text in items]

    one = Batches(send)
    answers = await asyncio.gather(
        *(one.decrypt("k", "c", text) for text in ("good", "bad", "good")), return_exceptions=True
    )
    assert [Secret("p"), Secret("p")] == [answers[0], answers[2]]
    assert isinstance(answers[1], DecryptFailed)
