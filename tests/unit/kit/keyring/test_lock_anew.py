"""A keyring file under another unlock: the same keys, and at any moment one file opens it."""

import os
import stat
from pathlib import Path

import pytest

from tollgate_cli.private_file import write_private
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.keyring.file import FileKeyring, change, create, lock_anew, names
from tollgate_kit.secret import Secret

KEYS = {"upstream-keys": "aes256", "reservation": "mac"}
OLD, NEW = Secret("correct horse"), Secret("battery staple")


class Ended(BaseException):
    """Stands for `kill -9`: nothing catches it."""


@pytest.fixture
def place(tmp_path):
    """A keyring file and its unlock file."""
    create(tmp_path / "ring.json", OLD, KEYS, given={"reservation": Secret(b"m" * 32)})
    put(tmp_path / "unlock", OLD)
    return tmp_path


def put(path, unlock):
    fresh = path.with_suffix(".fresh")
    fresh.write_text(unlock.reveal())
    fresh.chmod(0o400)
    fresh.replace(path)


def ring(place):
    return FileKeyring.open(KeyringConfig(place / "ring.json", place / "unlock"))


def opens(place, unlock):
    put(place / "tried", unlock)
    try:
        FileKeyring.open(KeyringConfig(place / "ring.json", place / "tried"))
    except KeyringFault:
        return False
    return True


async def test_the_keys_stay_and_the_old_unlock_opens_nothing(place):
    """What was encrypted is opened, by the new unlock alone; the file holds no second lock."""
    sealed = await ring(place).encrypt("upstream-keys", "c", Secret("sk-1"))
    lock_anew(place / "ring.json", OLD, NEW, lambda: put(place / "unlock", NEW))
    assert Secret("sk-1") == await ring(place).decrypt("upstream-keys", "c", sealed)
    assert Secret(b"m" * 32) == await ring(place).mac_key("reservation")
    assert not opens(place, OLD)
    assert "next" not in (place / "ring.json").read_text()


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_ended_at_any_step_it_opens_and_goes_on(place, monkeypatch, steps):
    """Cut before any rename: the unlock that is there opens it, keys are added, and again works."""
    left, rename = steps, os.replace

    def counted(*paths):
        nonlocal left
        if left == 0:
            raise Ended
        left -= 1
        rename(*paths)

    with monkeypatch.context() as cut:
        cut.setattr(os, "replace", counted)
        with pytest.raises(Ended):
            lock_anew(place / "ring.json", OLD, NEW, lambda: put(place / "unlock", NEW))
    now = Secret((place / "unlock").read_text())
    assert now == (NEW if steps == 2 else OLD)
    assert Secret(b"m" * 32) == await ring(place).mac_key("reservation")
    change(place / "ring.json", now, add={"reservation-2": ("mac", Secret(b"n" * 32))})
    assert [*KEYS, "reservation-2"] == names(place / "ring.json")
    assert Secret(b"n" * 32) == await ring(place).mac_key("reservation-2")
    last = Secret("third time lucky")
    lock_anew(place / "ring.json", now, last, lambda: put(place / "unlock", last))
    assert Secret(b"n" * 32) == await ring(place).mac_key("reservation-2")
    assert [opens(place, one) for one in (OLD, NEW, last)] == [False, False, True]


def test_a_wrong_unlock_locks_nothing(place):
    """Who cannot open it cannot lock it anew, and leaves the file as it was."""
    before = (place / "ring.json").read_bytes()
    with pytest.raises(KeyringFault):
        lock_anew(place / "ring.json", NEW, NEW, lambda: pytest.fail("kept"))
    assert before == (place / "ring.json").read_bytes()


def test_each_rename_is_durable_before_the_next(place, monkeypatch):
    """A loss of power leaves a pair that opens: the folder is synced after every rename."""
    steps = []
    rename, sync = os.replace, os.fsync

    def renamed(source, target, **given):
        rename(source, target, **given)
        steps.append(Path(target).name)

    def synced(descriptor):
        sync(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            steps.append("folder")

    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    lock_anew(place / "ring.json", OLD, NEW, lambda: write_private(place / "unlock", NEW.reveal()))
    assert steps == ["ring.json", "folder", "unlock", "folder", "ring.json", "folder"]
