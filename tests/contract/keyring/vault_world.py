"""A place at a real Vault for one test: mounts and roles of its own, and a keyring over them.

world = World(server, tmp_path)
world.deliver()                       # a wrapped secret-id, as an orchestrator does
async with world.keyring() as ring:   # logged in; world.lines() is what it logged
"""

import base64
import contextlib
import io
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
from prometheus_client import generate_latest

from tests.vault.server import VaultServer
from tollgate_kit.clock import SystemClock
from tollgate_kit.config import VaultConfig, VaultLoginConfig
from tollgate_kit.keyring.vault.keyring import VaultKeyring
from tollgate_kit.lifecycle import Readiness
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics

READER, WRITER = "reader", "writer"
NAME, CONTEXT = "upstream-keys", "t1|k1|https://api.example:443"
CANARY = b"sk-canary-9e07b1"
_serial = itertools.count(1)


@dataclass
class AheadClock:
    """The machine's clocks, ahead of time by what a test says, each by itself."""

    real: SystemClock = field(default_factory=SystemClock)
    ahead: float = 0.0
    wall_ahead: float = 0.0

    def monotonic(self) -> float:
        return self.real.monotonic() + self.ahead

    def unix_ms(self) -> int:
        return self.real.unix_ms() + int(self.wall_ahead * 1000)


class World:
    """Mounts, keys, roles and files; what one process logged and measured."""

    def __init__(self, server: VaultServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.root: hvac.Client = server.root()
        number = next(_serial)
        self.transit, self.approle = f"transit-{number}", f"approle-{number}"
        self.clock = AheadClock()
        self.out = io.StringIO()
        self.log = Log("test", out=self.out)
        self.metrics = Metrics("test")
        self.readiness = Readiness()
        self.address = server.address
        self.root.sys.enable_secrets_engine("transit", path=self.transit)
        self.root.sys.enable_auth_method("approle", path=self.approle)
        for name, kind, derived in (
            ("upstream-keys", "aes256-gcm96", True),
            ("reservation", "aes256-gcm96", False),
            ("pepper", "aes256-gcm96", False),
            ("tlog", "ed25519", False),
        ):
            self._transit("POST", f"keys/{name}", {"type": kind, "derived": derived})
        self.allow(READER, self.rights(READER))
        self.allow(WRITER, self.rights(WRITER))
        for role in (READER, WRITER):
            self.make_role(role)

    def rights(self, role: str) -> dict[str, str]:
        """Path and capability, as a service's policy gives them."""
        at = self.transit
        own = {
            READER: {
                f"{at}/decrypt/upstream-keys": "update",
                f"{at}/decrypt/reservation": "update",
                f"{at}/decrypt/pepper": "update",
                f"{at}/sign/tlog": "update",
                f"{at}/keys/tlog": "read",
            },
            WRITER: {f"{at}/encrypt/upstream-keys": "update"},
        }
        tokens = {
            "auth/token/lookup-self": "read",
            "auth/token/renew-self": "update",
            "auth/token/revoke-self": "update",
        }
        return own[role] | tokens

    def allow(self, role: str, rights: dict[str, str]) -> None:
        """Give a role's policy these rights and no other."""
        text = "\n".join(
            f'path "{path}" {{ capabilities = ["{right}"] }}' for path, right in rights.items()
        )
        self.root.sys.create_or_update_policy(self.policy(role), text or "# nothing")

    def policy(self, role: str) -> str:
        return f"{role}-{self.approle}"

    def make_role(self, role: str, **settings: Any) -> None:
        terms: dict[str, Any] = {
            "token_policies": [self.policy(role)],
            "token_no_default_policy": True,
            "token_type": "service",
            "token_ttl": "15m",
            "token_explicit_max_ttl": "24h",
            "secret_id_num_uses": 1,
            "secret_id_ttl": "10m",
        }
        self.root.auth.approle.create_or_update_approle(
            role, mount_point=self.approle, **terms | settings
        )
        found = self.root.auth.approle.read_role_id(role, mount_point=self.approle)
        self.file(f"{role}.role-id").write_text(found["data"]["role_id"] + "\n")

    def file(self, name: str) -> Path:
        return self.directory / name

    def deliver(self, role: str = READER, *, of: str = "", ttl_s: int = 120) -> str:
        """Write a wrapped secret-id of the role (or `of` another one); the wrapping token."""
        made = self.root.auth.approle.generate_secret_id(
            of or role, mount_point=self.approle, wrap_ttl=f"{ttl_s}s"
        )
        token: str = made["wrap_info"]["token"]
        self._secret_id_file(role, token)
        return token

    def deliver_bare(self, role: str = READER) -> str:
        """Write a secret-id that is not wrapped; the secret-id."""
        made = self.root.auth.approle.generate_secret_id(role, mount_point=self.approle)
        secret_id: str = made["data"]["secret_id"]
        self._secret_id_file(role, secret_id)
        return secret_id

    def wrap(self, name: str, key: bytes, *, by: str = "") -> Path:
        """A file with the ciphertext of a key for HMAC."""
        path = self.file(f"{name}.wrapped")
        path.write_text(self.encrypted(by or name, key) + "\n")
        return path

    def encrypted(self, name: str, plaintext: bytes, context: str = "") -> str:
        """What transit makes of it, at the operator's hand."""
        body = {"plaintext": _b64(plaintext)} | (
            {"context": _b64(context.encode())} if context else {}
        )
        return str(self._transit("POST", f"encrypt/{name}", body)["data"]["ciphertext"])

    def rotate(self, name: str) -> None:
        self._transit("POST", f"keys/{name}/rotate", {})

    def set(self, name: str, **settings: Any) -> None:
        self._transit("POST", f"keys/{name}/config", settings)

    def config(self, **changes: Any) -> VaultConfig:
        settings: dict[str, Any] = {
            "address": self.address,
            "ca_file": self.server.ca_file,
            "transit": self.transit,
            "approle": self.approle,
            **self._login(READER),
        }
        return VaultConfig(**settings | changes)

    def writer(self) -> VaultLoginConfig:
        return VaultLoginConfig(**self._login(WRITER))

    @contextlib.asynccontextmanager
    async def keyring(self, **changes: Any) -> AsyncIterator[VaultKeyring]:
        """Opened now, with a fresh secret-id; closed at the end."""
        self.deliver()
        if changes.get("writer"):
            self.deliver(WRITER)
        async with self.reopened(**changes) as ring:
            yield ring

    @contextlib.asynccontextmanager
    async def reopened(self, **changes: Any) -> AsyncIterator[VaultKeyring]:
        """Opened now, with what was delivered, as a new process; closed at the end."""
        self.metrics = Metrics("test")
        ring = await VaultKeyring.open(
            self.config(**changes),
            clock=self.clock,
            metrics=self.metrics,
            log=self.log,
            chance=lambda: 0.5,
        )
        try:
            yield ring
        finally:
            await ring.close()

    def events(self) -> list[str]:
        """The names of the lines logged so far."""
        return [line["event"] for line in self.lines()]

    def lines(self) -> list[dict[str, Any]]:
        self.log.flush()
        return [json.loads(line) for line in self.out.getvalue().splitlines()]

    def shown(self) -> str:
        """What a scrape of the metrics shows."""
        return generate_latest(self.metrics.registry).decode()

    def gauge(self, name: str) -> float:
        return self._sample(f"tollgate_{name}", {"service": "test"}) or 0.0

    def requests(self, operation: str, result: str = "ok") -> float:
        """How many requests came to this."""
        labels = {"service": "test", "operation": operation, "result": result}
        return self._sample("tollgate_vault_requests_total", labels) or 0.0

    def accessors(self) -> list[dict[str, Any]]:
        """The tokens that live and were given out to these roles."""
        listed = self.root.auth.token.list_accessors()["data"]["keys"]
        found = []
        for accessor in listed:
            with contextlib.suppress(hvac.exceptions.VaultError):
                data = self.root.auth.token.lookup_accessor(accessor)["data"]
                if data["path"] == f"auth/{self.approle}/login":
                    found.append(data)
        return found

    def revoke(self) -> None:
        """Revoke every token of these roles."""
        for data in self.accessors():
            self.root.auth.token.revoke_accessor(data["accessor"])

    def _sample(self, name: str, labels: dict[str, str]) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def _login(self, role: str) -> dict[str, Any]:
        return {
            "role": role,
            "role_id_file": self.file(f"{role}.role-id"),
            "secret_id_file": self.file(f"{role}.secret-id"),
        }

    def _secret_id_file(self, role: str, text: str) -> None:
        fresh = self.file(f"{role}.new")
        fresh.unlink(missing_ok=True)
        fresh.write_text(text + "\n")
        fresh.chmod(0o400)
        fresh.rename(self.file(f"{role}.secret-id"))

    def _transit(self, method: str, path: str, body: dict[str, Any]) -> Any:
        return self.root.adapter.request(method, f"/v1/{self.transit}/{path}", json=body)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
