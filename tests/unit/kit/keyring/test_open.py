import io

import pytest

from tollgate_kit.clock import ManualClock
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.keyring.file import create
from tollgate_kit.keyring.open import open_keyring
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
