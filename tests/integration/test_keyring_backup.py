"""What docs/backup.md says: a copy of a keyring, restored, opens what was encrypted before it."""

import base64
import shutil

import requests

from tests.contract.keyring import every
from tests.contract.keyring.every import NAME
from tests.vault.server import vault_server
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.secret import Secret

CONTEXT = "t|k|https://api.example:443"


async def test_a_file_keyring_is_restored_from_its_two_files(tmp_path):
    """Both files put back elsewhere open an old row."""
    (tmp_path / "a").mkdir()
    row = await every.of_file(tmp_path / "a").encrypt(NAME, CONTEXT, Secret("sk-1"))
    (tmp_path / "b").mkdir()
    for name in ("ring.json", "unlock"):
        shutil.copy2(tmp_path / "a" / name, tmp_path / "b" / name)
    shutil.rmtree(tmp_path / "a")
    restored = FileKeyring.open(KeyringConfig(tmp_path / "b/ring.json", tmp_path / "b/unlock"))
    assert Secret("sk-1") == await restored.decrypt(NAME, CONTEXT, row)


def test_a_vault_is_restored_from_a_raft_snapshot(vault_program, tmp_path):
    """On a new server, with the old one's unseal key: an old row opens."""
    context = base64.b64encode(CONTEXT.encode()).decode()
    with vault_server(tmp_path) as old:
        transit = old.root().secrets.transit
        old.root().sys.enable_secrets_engine("transit")
        transit.create_key(NAME, derived=True)
        text = base64.b64encode(b"sk-1").decode()
        row = transit.encrypt_data(NAME, text, context=context)["data"]["ciphertext"]
        snapshot = old.root().sys.take_raft_snapshot().content
        unseal_key, root_token = old.unseal_key, old.root_token
    assert b"sk-1" not in snapshot
    with vault_server(tmp_path) as new:
        answer = requests.post(
            f"{new.address}/v1/sys/storage/raft/snapshot-force",
            data=snapshot, headers={"X-Vault-Token": new.root_token},
            verify=str(new.ca_file), timeout=30,
        )  # fmt: skip
        assert answer.ok, answer.text
        new.unseal_key, new.root_token = unseal_key, root_token
        new._until(new.is_sealed)
        new.unseal()
        opened = new.root().secrets.transit.decrypt_data(NAME, row, context=context)
    assert b"sk-1" == base64.b64decode(opened["data"]["plaintext"])
