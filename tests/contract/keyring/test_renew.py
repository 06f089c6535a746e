"""Rows leave an older version of their key, in the file's keyring and in Vault's, while they change."""

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.contract.keyring import every
from tests.contract.keyring.every import NAME
from tests.contract.keyring.test_move import Table, quiet
from tests.contract.keyring.vault_world import READER, World
from tests.vault.server import VaultServer
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import DecryptFailed, KeyMissing, KeyringAway, Versioned
from tollgate_kit.keyring.move import RowsLeft, renew
from tollgate_kit.secret import Secret

UNLOCK = Secret("correct horse")
TEXTS = {f"r{n:03}": b"key %d" % n for n in range(70)}


@dataclass
class Place:
    """A keyring whose key gets another version, and loses the older ones."""

    ring: Versioned
    rotate: Callable[[], None]
    trim: Callable[[], None]
    # How often Vault was asked for a plaintext.
    decryptions: Callable[[], float] = field(default=lambda: 0)


@contextlib.asynccontextmanager
async def of_file(directory: Path) -> AsyncIterator[Place]:
    ring = every.of_file(directory)
    path, config = (
        directory / "ring.json",
        KeyringConfig(directory / "ring.json", directory / "unlock"),
    )

    def changed(**how: object) -> None:
        keyring_file.change(path, UNLOCK, **how)
        ring.take_over(ring.anew(config))

    yield Place(
        ring,
        lambda: changed(add={f"{NAME}-2": ("aes256", Secret(b"2" * 32))}),
        lambda: changed(remove=[NAME]),
    )


@contextlib.asynccontextmanager
async def of_vault(vault: VaultServer, directory: Path) -> AsyncIterator[Place]:
    world = World(vault, directory)
    both = {f"{world.transit}/{may}/{NAME}": "update" for may in ("encrypt", "rewrap")}
    world.allow(READER, world.rights(READER) | both)
    transit = world.root.secrets.transit

    def trim() -> None:
        transit.update_key_configuration(NAME, min_decryption_version=2, mount_point=world.transit)

    async with world.keyring() as ring:
        yield Place(ring, lambda: world.rotate(NAME), trim, lambda: world.requests("decrypt"))


@pytest.fixture(params=["file", "vault"])
async def place(request, vault, tmp_path):
    opened = of_file(tmp_path) if request.param == "file" else of_vault(vault, tmp_path)
    async with opened as found:
        yield found


async def test_rows_leave_an_older_version_and_then_it_opens_nothing(place):
    """What stood under it opens as before, and is under the newest; trimmed, the old one is no use."""
    ring, table = place.ring, await Table().filled(place.ring, TEXTS)
    before = dict(table.rows)
    place.rotate()
    new, asked = await ring.newest(NAME), place.decryptions()
    assert len(TEXTS) == await renew(table, NAME, ring, quiet)
    assert asked == place.decryptions(), "Vault encrypts anew itself: no plaintext leaves it"
    assert {True} == {text.startswith(new) for _, text in table.rows.values()}
    assert TEXTS == await table.opened(ring)
    assert Secret(TEXTS["r000"]) == await ring.decrypt(NAME, *before["r000"])
    place.trim()
    assert TEXTS == await table.opened(ring)
    for row in list(before.values())[:3]:
        with pytest.raises(DecryptFailed):
            await ring.decrypt(NAME, *row)
        with pytest.raises(DecryptFailed):
            await ring.renewed(NAME, *row)
    await ring.check(NAME, "aes256")


async def test_a_run_that_ended_anywhere_is_begun_again(place):
    """The second run moves the rest and touches nothing that is there; a third moves nothing."""
    table = await Table(ends=40).filled(place.ring, TEXTS)
    place.rotate()
    with pytest.raises(KeyringAway):
        await renew(table, NAME, place.ring, quiet)
    there, table.ends = {row_id: table.rows[row_id] for row_id in table.replaced}, None
    assert len(TEXTS) - len(there) == await renew(table, NAME, place.ring, quiet)
    assert there == {row_id: table.rows[row_id] for row_id in there}
    assert 0 == await renew(table, NAME, place.ring, quiet)
    assert TEXTS == await table.opened(place.ring)


async def test_a_row_of_the_newest_version_is_opened_too(place):
    """A copy of the keyring from before makes the same number again: what it cannot open is named."""
    table = await Table().filled(place.ring, TEXTS)
    place.rotate()
    assert len(TEXTS) == await renew(table, NAME, place.ring, quiet)
    context, text = table.rows["r004"]
    head, dot, data = text.rpartition(".")
    spoilt = head + dot + data[::-1] if dot else text[:-8] + "AAAAAAA="
    table.rows["r004"] = context, spoilt
    with pytest.raises(RowsLeft, match=r"r004 is opened by no version of its key$"):
        await renew(table, NAME, place.ring, quiet)
    assert table.rows["r004"] == (context, spoilt)


class Changing(Table):
    """Somebody changes one row and removes another when they are about to be replaced."""

    change = ("c|r003", "")

    async def replace(self, row, encrypted):
        if row.row_id == "r003" and self.rows["r003"] != self.change:
            self.rows["r003"] = self.change
        if row.row_id == "r005":
            del self.rows["r005"]
            return False
        return await super().replace(row, encrypted)


async def test_what_somebody_else_changed_meanwhile_is_not_lost(place):
    """The change stays, though it was encrypted with the old version; what was removed stays so."""
    table = await Changing().filled(place.ring, TEXTS)
    table.change = ("c|r003", await place.ring.encrypt(NAME, "c|r003", Secret("another key")))
    place.rotate()
    await renew(table, NAME, place.ring, quiet)
    place.trim()
    wanted = {**TEXTS, "r003": b"another key"}
    del wanted["r005"]
    assert wanted == await table.opened(place.ring)


async def test_a_row_that_does_not_open_is_named_and_keeps_no_other_back(place):
    """It stays as it is; all others are under the newest version."""
    table = await Table().filled(place.ring, TEXTS)
    spoilt = table.rows["r007"] = ("c|other", table.rows["r007"][1])
    place.rotate()
    with pytest.raises(RowsLeft, match="r007 is opened by no version of its key"):
        await renew(table, NAME, place.ring, quiet)
    assert spoilt == table.rows.pop("r007")
    place.trim()
    assert {k: v for k, v in TEXTS.items() if k != "r007"} == await table.opened(place.ring)


async def test_a_file_without_its_key_is_not_taken_over(tmp_path):
    """A keyring goes on with the keys that it has; another one's newest version encrypts."""
    ring = every.of_file(tmp_path)
    ciphertext = await ring.encrypt(NAME, "c", UNLOCK)
    keyring_file.change(tmp_path / "ring.json", UNLOCK, remove=[NAME])
    with pytest.raises(KeyMissing, match=NAME):
        ring.anew(KeyringConfig(tmp_path / "ring.json", tmp_path / "unlock"))
    assert UNLOCK == await ring.decrypt(NAME, "c", ciphertext)
