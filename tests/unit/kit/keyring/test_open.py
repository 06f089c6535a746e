import asyncio
import io
import os
import signal
from types import SimpleNamespace

import pytest

from tollgate_kit.clock import ManualClock
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.keyring.file import FileKeyring, change, create
from tollgate_kit.keyring.open import at_reload, open_keyring
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.secret import Secret

KEYS = {"upstream-keys": "aes256", "reservation": "mac", "tlog": "ed25519"}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    home = tmp_path_factory.mktemp("keyring")
    unlock = home / "unlock"
    unlock.write_text("correct horse")
    unlock.chmod(0o400)
    create(home / "ring.json", Secret("correct horse"), KEYS)
    return KeyringConfig(home / "ring.json", unlock)


async def opened(config, keys):
    log = Log("t", out=io.StringIO())
    return await open_keyring(
        config, keys, clock=ManualClock(), metrics=Metrics("t"), log=log, life=Lifecycle(log)
    )


async def test_a_keyring_with_every_key_opens(config):
    """A key of each kind that is there is found, and can be used."""
    keyring = await opened(config, KEYS)
    ciphertext = await keyring.encrypt("upstream-keys", "c", Secret("sk-1"))
    assert Secret("sk-1") == await keyring.decrypt("upstream-keys", "c", ciphertext)


async def test_every_missing_key_is_named(config):
    """An operator learns at the start of all that is missing; a key of another kind is missing."""
    with pytest.raises(KeyringFault) as refused:
        await opened(config, {"tlog": "mac", "reservation": "mac", "pepper": "aes256"})
    assert (
        "this keyring has no mac key named tlog; this keyring has no aes256 key named pepper"
    ) == str(refused.value)


async def test_a_reload_has_the_newest_version_encrypt_and_then_waits_for_what_began(tmp_path):
    """At SIGHUP; one that is refused by who takes it over leaves the keyring as it was."""
    unlock, path = tmp_path / "unlock", tmp_path / "ring.json"
    unlock.write_text("correct horse")
    unlock.chmod(0o400)
    create(path, Secret("correct horse"), KEYS)
    config, life = KeyringConfig(path, unlock), Lifecycle(Log("t", out=io.StringIO()))
    life.configuration = lambda: SimpleNamespace(keyring=config)
    keyring, metrics, seen = FileKeyring.open(config), Metrics("t"), []
    is_refused = True

    async def take(_found, _anew):
        seen.append(await keyring.newest("upstream-keys"))
        if is_refused:
            raise KeyringFault("too early")

    async def settle():
        seen.append(await keyring.newest("upstream-keys"))

    async def reloaded(result, times):
        os.kill(os.getpid(), signal.SIGHUP)
        labels = {"service": "t", "result": result}
        async with asyncio.timeout(5):
            while metrics.registry.get_sample_value("tollgate_reloads_total", labels) != times:
                await asyncio.sleep(0.01)

    at_reload(keyring, take, life=life, metrics=metrics, settle=settle)
    change(path, Secret("correct horse"), add={"upstream-keys-2": ("aes256", Secret(b"2" * 32))})
    try:
        await reloaded("failed", 1)
        assert ["tg1."] == seen
        assert "tg1." == await keyring.newest("upstream-keys")
        is_refused = False
        await reloaded("done", 1)
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
    assert ["tg1.", "tg1.", "tg2.2."] == seen
