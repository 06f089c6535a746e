"""Every implementation of the keyring seam, with the same keys, opened for one test.

async with opened("vault", server, tmp_path) as ring:   # or "file", or "example"
"""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.contract.keyring.local_kms import LocalKms
from tests.contract.keyring.vault_world import READER, World
from tests.vault.server import VaultServer
from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.secret import Secret

KINDS = ("file", "vault", "example")
NAME, MAC, LOG = "upstream-keys", "reservation", "tlog"
MAC_BYTES = bytes(range(32))
_PAGE = Path(__file__).parents[3] / "docs/keyring.md"


def example() -> str:
    """The implementation that docs/keyring.md shows."""
    (code,) = re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    return str(code)


@contextlib.asynccontextmanager
async def opened(kind: str, vault: VaultServer, directory: Path) -> AsyncIterator[Keyring]:
    """A keyring with a key to encrypt, one for HMAC and one to sign."""
    if kind == "file":
        yield of_file(directory)
    elif kind == "vault":
        world = World(vault, directory)
        # Those of a service that encrypts and decrypts: audit.
        both = {f"{world.transit}/encrypt/{NAME}": "update"}
        world.allow(READER, world.rights(READER) | both)
        async with world.keyring(wrapped={MAC: world.wrap(MAC, MAC_BYTES)}) as ring:
            yield ring
    else:
        yield await of_example(LocalKms((NAME, MAC), (LOG,)))


def of_file(directory: Path) -> FileKeyring:
    """A new one of its own."""
    unlock, path = directory / "unlock", directory / "ring.json"
    unlock.write_text("correct horse")
    unlock.chmod(0o400)
    kinds = {NAME: "aes256", MAC: "mac", LOG: "ed25519"}
    given = {MAC: Secret(MAC_BYTES)}
    keyring_file.create(path, Secret("correct horse"), kinds, given=given)
    return FileKeyring.open(KeyringConfig(path, unlock))


async def of_example(kms: LocalKms) -> Keyring:
    """The page's, over this key service."""
    names: dict[str, Any] = {"__name__": "keyring_page"}
    exec(compile(example(), str(_PAGE), "exec"), names)
    keys = {key: key for key in (NAME, MAC, LOG)}
    maker: Keyring = names["KmsKeyring"](kms, keys, {})
    wrapped = await maker.encrypt(MAC, "mac", Secret(MAC_BYTES))
    ring: Keyring = names["KmsKeyring"](kms, keys, {MAC: wrapped})
    return ring
