"""Each service opens its keyring at a Vault that `tollgate vault init` made: with its rights alone."""

import contextlib
import io

import pytest

from tests.vault.server import vault_server
from tests.vault.setup import deliver, set_up, wrap_key
from tollgate_audit.log.signer import Signer
from tollgate_audit.subject_keys import KEYRING_KEY as SUBJECT_KEYS
from tollgate_cli.vault.delivery import role_id_file
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import KeyringConfig, VaultConfig, VaultLoginConfig
from tollgate_kit.keyring.base import KeyMissing, KeyringFault
from tollgate_kit.keyring.open import open_keyring
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.secret import Secret
from tollgate_tlog import merkle, note
from tollgate_tlog.checkpoint import Checkpoint

KEYS = {
    "authz": {"pepper": "mac"},
    "budget": {"reservation": "mac"},
    "router": {"reservation": "mac", "upstream-keys": "aes256"},
    "audit": {"tlog": "ed25519", "subject-keys": "aes256"},
}


@pytest.fixture(scope="module")
def made(vault_program, tmp_path_factory):
    """A Vault with everything, and the wrapped keys."""
    directory = tmp_path_factory.mktemp("made")
    with vault_server(directory) as vault:
        set_up(vault)
        wrapped = {name: wrap_key(vault, name, directory) for name in ("pepper", "reservation")}
        yield vault, wrapped


@contextlib.asynccontextmanager
async def opened(made, directory, service, keys=None):
    """The keyring as the service opens it; stopped at the end."""
    vault, wrapped = made

    def login(role):
        file = deliver(vault, role, directory)
        return {
            "role": f"tollgate-{role}",
            "role_id_file": role_id_file(file),
            "secret_id_file": file,
        }

    writer = VaultLoginConfig(**login("router-admin")) if service == "router" else None
    config = VaultConfig(
        address=vault.address,
        ca_file=vault.ca_file,
        wrapped=wrapped,
        writer=writer,
        **login(service),
    )
    log = Log(service, out=io.StringIO())
    life = Lifecycle(log)
    try:
        yield await open_keyring(
            KeyringConfig(vault=config),
            KEYS[service] if keys is None else keys,
            clock=SystemClock(),
            metrics=Metrics(service),
            log=log,
            life=life,
        )
    finally:
        await life.stop()


@pytest.mark.parametrize("service", sorted(KEYS))
async def test_a_service_opens_with_its_own_keys(made, tmp_path, service):
    """Every key that its start asks for is there, under the policy that it is given."""
    async with opened(made, tmp_path, service) as ring:
        for name, kind in KEYS[service].items():
            await ring.check(name, kind)


@pytest.mark.parametrize("service", sorted(KEYS))
async def test_a_service_does_not_open_with_anothers_keys(made, tmp_path, service):
    """What only others have is named, all of it; the file with the ciphertext is no help."""
    foreign = {
        name: kind
        for keys in KEYS.values()
        for name, kind in keys.items()
        if name not in KEYS[service]
    }
    with pytest.raises(KeyMissing) as caught:
        async with opened(made, tmp_path, service, foreign):
            pass
    assert len(foreign) == str(caught.value).count(f"Vault does not let tollgate-{service} use")


async def test_budget_and_router_share_one_key(made, tmp_path):
    """Each unwraps it by itself, and router knows what budget granted."""
    async with (
        opened(made, tmp_path, "budget") as budget,
        opened(made, tmp_path, "router") as router,
    ):
        assert await budget.mac_key("reservation") == await router.mac_key("reservation")


async def test_the_logs_signer_and_subject_keys_work(made, tmp_path):
    """audit signs what its own public key verifies, marks entries the same twice, names people."""
    async with opened(made, tmp_path, "audit") as ring:
        signer = await Signer.open(ring, "example/log")
        assert [64] == [len(secret) for secret in await signer.secrets()]
        assert await signer.secrets() == await signer.secrets()
        text = await ring.encrypt(SUBJECT_KEYS, "tenant|t1", Secret(b"k" * 32))
        assert Secret(b"k" * 32) == await ring.decrypt(SUBJECT_KEYS, "tenant|t1", text)
        with pytest.raises(KeyringFault):
            await ring.decrypt(SUBJECT_KEYS, "tenant|t2", text)


async def test_the_logs_key_is_rotated_and_the_old_one_ends(made, tmp_path):
    """Both versions sign for a while, each its own; then Vault refuses to sign with the old one."""
    vault, _ = made
    transit = vault.root().secrets.transit
    async with opened(made, tmp_path, "audit") as ring:
        before = await Signer.open(ring, "example/log")
        transit.rotate_key("tlog")
        signer = await Signer.open(ring, "example/log", versions=(1, 2))
        assert signer.known_keys[1:] == before.known_keys
        head = Checkpoint("example/log", 0, merkle.EMPTY_ROOT)
        signed = note.parse(await signer.sign(head)).signatures
        assert [key.key_id for key in signer.known_keys] == [line.key_id for line in signed]
        assert (await signer.secrets())[1:] == await before.secrets()
        alone = await Signer.open(ring, "example/log", before.known_keys, versions=(2,))
        transit.update_key_configuration("tlog", min_encryption_version=2)
        assert 1 == len(note.parse(await alone.sign(head)).signatures)
        with pytest.raises(KeyringFault):
            await before.sign(head)


async def test_a_start_that_fails_leaves_no_token(made, tmp_path):
    """What was logged in before a key was missing is revoked."""
    vault, _ = made
    before = vault.root().auth.token.list_accessors()["data"]["keys"]
    with pytest.raises(KeyMissing):
        async with opened(made, tmp_path, "router", {"pepper": "mac"}):
            pass
    assert before == vault.root().auth.token.list_accessors()["data"]["keys"]
