"""A router's database, a file keyring and a Vault, and `rekey` between the two, for tests."""

import asyncio
import base64
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.vault import setup
from tests.vault.server import VaultServer
from tollgate_cli.vault import wanted
from tollgate_kit.config import KeyringConfig, PostgresConfig
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.file import FileKeyring
from tollgate_kit.postgres import pool as pg
from tollgate_kit.secret import Secret

NAME = "upstream-keys"
CANARY = "sk-canary-4d1c"
_CONFIG = """
[rpc]
listen = "127.0.0.1:1"
tls = {{ ca = "ca", cert = "cert", key = "key" }}
[rpc.allow]
[metrics]
listen = "127.0.0.1:2"
[audit]
addresses = ["127.0.0.1:3"]
identity = "audit"
[postgres]
dsn_file = "dsn"
{keyring}
"""
FILE = '[keyring]\npath = "ring.json"\nunlock_file = "unlock"\n'
_PROVIDER = """
insert into provider (name, protocol, base_url, enabled, create_revision, create_unix_ms)
values ('p', 'openai.chat', 'https://API.example/v1', true, 2, 1)"""
CONTEXT = "t|{}|https://api.example:443"


def vault_table(vault: VaultServer, login: str, writer: str = "", *, wrapped: str = "") -> str:
    """[keyring] of a service at a Vault, as an operator writes it."""
    text = f"""[keyring.vault]
address = "{vault.address}"
ca_file = "{vault.ca_file}"
{_login(login)}
"""
    text += f"[keyring.vault.wrapped]\n{wrapped}\n" if wrapped else ""
    return text + (f"[keyring.vault.writer]\n{_login(writer)}\n" if writer else "")


def _login(name: str) -> str:
    return (
        f'role = "{wanted.PREFIX}{name}"\n'
        f'role_id_file = "{name}.role-id"\nsecret_id_file = "{name}.secret-id"'
    )


@dataclass
class Rekeyed:
    """One directory with both configurations."""

    directory: Path
    vault: VaultServer
    dsn: str
    ring: FileKeyring

    @classmethod
    async def make(cls, directory: Path, vault: VaultServer, dsn: str) -> "Rekeyed":
        setup.set_up(vault)
        (directory / "dsn").write_text(dsn)
        await pg.migrate(PostgresConfig(Secret(dsn), 1, 2), package="tollgate_router")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(_PROVIDER)
        unlock = directory / "unlock"
        unlock.write_text("correct horse")
        unlock.chmod(0o400)
        ring, keys = directory / "ring.json", {NAME: "aes256", "reservation": "mac"}
        keyring_file.create(ring, Secret("correct horse"), keys)
        for name, table in (
            ("file", FILE),
            ("vault", vault_table(vault, "router", "router-admin")),
        ):
            (directory / f"{name}.toml").write_text(_CONFIG.format(keyring=table))
        return cls(directory, vault, dsn, FileKeyring.open(KeyringConfig(ring, unlock)))

    async def fill(self, plaintexts: Iterable[str], *, prefix: str = "k") -> dict[str, str]:
        """A row for each, encrypted by the file; id -> plaintext."""
        rows = {f"{prefix}{n:05}": text for n, text in enumerate(plaintexts)}
        with psycopg.connect(self.dsn) as connection:
            for number, (key_id, text) in enumerate(rows.items()):
                context = CONTEXT.format(key_id)
                self.insert(
                    connection, key_id, await self.ring.encrypt(NAME, context, Secret(text)), number
                )
        return rows

    def insert(self, connection: psycopg.Connection, key_id: str, sealed: str, n: int) -> None:
        connection.execute(
            "insert into provider_key (key_id, provider, tenant, sealed, create_revision,"
            " create_unix_ms) values (%s, 'p', 't', %s, %s, 1)",
            (key_id, sealed, 100 + n),
        )

    def rows(self) -> dict[str, str]:
        """id -> ciphertext."""
        with psycopg.connect(self.dsn) as connection:
            return dict(connection.execute("select key_id, sealed from provider_key").fetchall())

    async def opened(self) -> dict[str, str]:
        """id -> what the file's keyring opens."""
        return {
            key_id: (await self.ring.decrypt(NAME, CONTEXT.format(key_id), sealed)).reveal()
            for key_id, sealed in self.rows().items()
        }

    def opened_by_vault(self) -> dict[str, str]:
        """id -> what Vault opens for the identity of a router."""
        client = setup.login(self.vault, "router")
        found = {}
        for key_id, sealed in self.rows().items():
            context = base64.b64encode(CONTEXT.format(key_id).encode()).decode()
            answer = client.secrets.transit.decrypt_data(NAME, sealed, context=context)
            found[key_id] = base64.b64decode(answer["data"]["plaintext"]).decode()
        return found

    async def spawn(
        self, former: str, present: str, step: str = "rekey"
    ) -> asyncio.subprocess.Process:
        """`rekey`, with fresh secret-ids."""
        return await self.start(present, step, "--from", str(self.directory / f"{former}.toml"))

    async def start(self, present: str, *command: str) -> asyncio.subprocess.Process:
        """A command of router, with fresh secret-ids."""
        for login in ("router", "router-admin"):
            setup.deliver(self.vault, login, self.directory)
        config = self.directory / f"{present}.toml"
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tollgate_router", "--config", str(config), *command),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def rekey(self, former: str, present: str, step: str = "rekey") -> tuple[int, str]:
        """Its exit code, and what it said."""
        process = await self.spawn(former, present, step)
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()


def texts(count: int) -> list[str]:
    """So many keys, each another."""
    return [f"{CANARY}-{secrets.token_hex(8)}" for _ in range(count)]
