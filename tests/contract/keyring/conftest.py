"""Fixtures of the contract of keyrings."""

from pathlib import Path

import pytest

from tests.contract.keyring.vault_world import CANARY, CONTEXT, NAME, World
from tests.vault.server import VaultServer


@pytest.fixture
def world(vault: VaultServer, tmp_path: Path) -> World:
    """A place at a real Vault for one test."""
    return World(vault, tmp_path)


@pytest.fixture
def ciphertext(world: World) -> str:
    """The canary as that Vault has encrypted it."""
    return world.encrypted(NAME, CANARY, CONTEXT)
