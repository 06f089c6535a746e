"""Vault is taken away from a router under calls, in every way, and given back: nothing is restarted.

The process is a real one, its times less than a third of what they are; Vault is real, its policies
ours.
`-s` shows the table of what happened, as docs/failures.md has it.
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.contract.keyring.vault_front import Front, front
from tests.integration.test_router import KEY, RESERVATION_KEY, Suite, demo_provider, running
from tests.vault.server import VaultServer, vault_server
from tests.vault.setup import deliver, set_up
from tollgate.router.v1 import router_pb2
from tollgate_cli.vault import delivery
from tollgate_kit.config import PeerConfig
from tollgate_kit.rpc import client as rpc_client

__all__ = ["demo_provider"]

KEEP_S, REFRESH_S, LOST_S = 18.0, 3.0, 16.0
AWAY_S = REFRESH_S + 3
CALLS_PER_SECOND = 40
# The process of `-m tollgate_router` with shorter times, and to its keyring the machine's clock is
# as far ahead as the file in AHEAD says: a clock that jumps would end reservations as well.
PROGRAM = f"""
import os
from pathlib import Path
from tollgate_kit.clock import SystemClock
from tollgate_kit.keyring.vault import keyring
from tollgate_router.__main__ import main
from tollgate_router.providers import provider_keys
provider_keys.KEEP_SECONDS, provider_keys.REFRESH_SECONDS = {KEEP_S}, {REFRESH_S}
keyring.LOST_SECONDS, keyring.TICK_SECONDS = {LOST_S}, 0.5

class Off(SystemClock):
    def unix_ms(self):
        return super().unix_ms() + 1000 * int(Path(os.environ["AHEAD"]).read_text())

opened = keyring.VaultKeyring.open
keyring.VaultKeyring.open = lambda config, *, clock, **given: opened(config, clock=Off(), **given)
raise SystemExit(main())
"""
SERVE = ("-c", PROGRAM)
KEYRING = """
[keyring.vault]
address = "{address}"
ca_file = "{ca}"
role = "tollgate-router"
role_id_file = "router.role-id"
secret_id_file = "router.secret-id"
[keyring.vault.wrapped]
reservation = "reservation.wrapped"
[keyring.vault.writer]
role = "tollgate-router-admin"
role_id_file = "router-admin.role-id"
secret_id_file = "router-admin.secret-id"
"""
PAGE = Path(__file__).parents[2] / "docs/failures.md"
DECRYPT = 'path "transit/decrypt/upstream-keys" {'


@dataclass
class Load:
    """Calls at an even rate, and how they ended."""

    suite: Suite
    ends: list[str] = field(default_factory=list)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as calls:
            while True:
                calls.create_task(self._call())
                await asyncio.sleep(1 / CALLS_PER_SECOND)

    async def _call(self) -> None:
        messages = await self.suite.call(self.suite.request("demo-gpt"))
        self.ends.append(router_pb2.EndReason.Name(messages[-1].end.reason)[11:])


@contextlib.asynccontextmanager
async def load(suite: Suite) -> AsyncIterator[Load]:
    """Calls while the block runs."""
    made = Load(suite)
    running_calls = asyncio.create_task(made.run())
    try:
        yield made
        assert not running_calls.done(), running_calls
    finally:
        running_calls.cancel()
        await asyncio.gather(running_calls, return_exceptions=True)


@dataclass
class World:
    """A router over Vault, with a front between them."""

    suite: Suite
    vault: VaultServer
    before: Front
    directory: Path

    def events(self) -> list[str]:
        lines = [json.loads(line) for line in self.suite.log.read_text().splitlines()]
        return [line["event"] for line in lines if line["event"].startswith("vault.")]

    async def said(self, event: str, since: int) -> list[str]:
        """What was logged since then; waits until this is among it."""
        async with asyncio.timeout(15):
            while event not in self.events()[since:]:
                await asyncio.sleep(0.1)
        return self.events()[since:]

    async def is_ready(self) -> bool:
        peer = PeerConfig((self.suite.address,), "router")
        channel = rpc_client.open_channel(peer, self.suite.mesh.tls("edge-api"))
        try:
            asked = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            return bool((await asked).status == health_pb2.HealthCheckResponse.SERVING)
        except grpc.aio.AioRpcError:
            return False
        finally:
            await channel.close()

    def deliver(self, service: str = "router") -> None:
        deliver(self.vault, service, self.directory)

    def ahead(self, seconds: int) -> None:
        """From the next login on, which is where both clocks are seen."""
        new = self.directory / "ahead.new"
        new.write_text(str(seconds))
        new.rename(self.directory / "ahead")
        self.deliver()

    def use_up(self) -> None:
        """Deliver a secret-id that Vault takes no more."""
        self.deliver()
        approle = self.vault.root().auth.approle
        for accessor in approle.list_secret_id_accessors("tollgate-router")["data"]["keys"]:
            approle.destroy_secret_id_accessor("tollgate-router", accessor)

    def revoke(self) -> None:
        for accessor in self.accessors("tollgate-router"):
            self.vault.root().auth.token.revoke_accessor(accessor)

    def accessors(self, *roles: str) -> list[str]:
        root = self.vault.root()
        found = []
        for accessor in root.auth.token.list_accessors()["data"]["keys"]:
            meta = root.auth.token.lookup_accessor(accessor)["data"]["meta"] or {}
            if meta.get("role_name") in roles:
                found.append(accessor)
        return found

    def may_decrypt(self, may: bool) -> None:
        sys = self.vault.root().sys
        text = sys.read_policy("tollgate-router")["data"]["rules"]
        there, gone = DECRYPT, DECRYPT.replace("decrypt", "nothing")
        text = text.replace(gone, there) if may else text.replace(there, gone)
        sys.create_or_update_policy("tollgate-router", text)


@pytest.fixture
async def world(vault_program, tmp_path, postgres_dsn, demo_provider, monkeypatch):
    """Running, warm: its upstream key is open."""
    (tmp_path / "ahead").write_text("0")
    monkeypatch.setenv("AHEAD", str(tmp_path / "ahead"))
    with vault_server(tmp_path) as vault:
        set_up(vault)
        for service in ("router", "router-admin"):
            deliver(vault, service, tmp_path)
        key = tmp_path / "reservation.key"
        key.write_bytes(RESERVATION_KEY)
        key.chmod(0o400)
        wrapped = tmp_path / "reservation.wrapped"
        delivery.wrap_key(vault.root(), "reservation", wrapped, mount="transit", key_file=key)
        async with front(vault) as before:
            keyring = KEYRING.format(address=before.address, ca=vault.ca_file)
            async with running(
                tmp_path, postgres_dsn(), demo_provider, keyring=keyring, serve=SERVE
            ) as suite:
                yield World(suite, vault, before, tmp_path)
                assert KEY not in suite.log.read_text()


async def test_no_call_is_refused_that_a_kept_key_could_serve(world):
    """Stopped, sealed, silent, slow, 500, revoked, without the right, its secret-id used up, clocks
    ten minutes apart: not one call fails.

    Each for longer than a key in use goes without being decrypted anew; each is said, and heals.
    """

    async def slow(delay_s: float) -> None:
        world.before.delay_s = delay_s

    def then(change: Callable[[], object]):
        return lambda: asyncio.to_thread(change)

    async def fail(is_failing: bool) -> None:
        world.before.fail(is_failing=is_failing)

    vault = world.vault
    cases = (
        ("stopped", then(vault.stop), then(vault.start), "vault.unreachable", "vault.back"),
        ("sealed", then(vault.seal), then(vault.unseal), "vault.sealed", "vault.back"),
        ("silent", then(vault.pause), then(vault.resume), "vault.slow", "vault.back"),
        ("slow: 5 s", lambda: slow(5), lambda: slow(0), "vault.slow", "vault.back"),
        ("500", lambda: fail(True), lambda: fail(False), "vault.failing", "vault.back"),
        ("token revoked", then(world.revoke), then(world.deliver), "vault.token_refused",
         "vault.logged_in"),
        ("right taken", then(lambda: world.may_decrypt(False)),
         then(lambda: world.may_decrypt(True)), "vault.denied", "vault.allowed"),
        ("secret-id spent", then(world.use_up), then(world.deliver), "vault.not_logged_in",
         "vault.logged_in"),
        ("clock ahead", then(lambda: world.ahead(600)), then(lambda: world.ahead(0)),
         "vault.clock_off", "vault.clock_right"),
        ("clock behind", then(lambda: world.ahead(-600)), then(lambda: world.ahead(0)),
         "vault.clock_off", "vault.clock_right"),
    )  # fmt: skip
    table, wrong = [], []
    async with load(world.suite) as calls:
        await asyncio.sleep(1)
        for name, away, back, event, healed in cases:
            since, first = len(world.events()), len(calls.ends)
            await away()
            await asyncio.sleep(AWAY_S)
            said = await world.said(event, since)
            await back()
            said = await world.said(healed, since)
            # All that was kept ends: what serves from here on was decrypted since.
            await asyncio.sleep(2)
            ends = Counter(calls.ends[first:])
            how = ", ".join(sorted(ends)).lower()
            # What else is said hangs on moments: a Vault that starts again may be seen sealed.
            table.append(f"| {name} | {how} | `{event}`, `{healed}` |")
            if set(ends) != {"COMPLETED"} or len(said) > 6:
                wrong.append((table[-1], ends, said))
    print("\n".join(["", *table]))
    assert [] == wrong
    assert "\n".join(table) in PAGE.read_text(), "the page's table is what -s prints"


async def test_dies_safe_and_lives_on(world):
    """Without a token: calls to the end of the kept key, then no route, then not ready; it lives.

    A fresh secret-id heals it, without a restart; a stop revokes what it holds.
    """
    async with load(world.suite) as calls:
        await asyncio.sleep(1)
        assert await world.is_ready()
        first = len(calls.ends)
        await asyncio.to_thread(world.revoke)
        moment = asyncio.get_running_loop().time()
        async with asyncio.timeout(KEEP_S + REFRESH_S + 10):
            while await world.is_ready():
                await asyncio.sleep(0.2)
        assert asyncio.get_running_loop().time() - moment > LOST_S
        async with asyncio.timeout(KEEP_S):
            while "NO_ROUTE" not in calls.ends[first:]:
                await asyncio.sleep(0.2)
        served = calls.ends[first:].index("NO_ROUTE")
        assert served > (KEEP_S - REFRESH_S - 2) * CALLS_PER_SECOND * 0.5
        await asyncio.to_thread(world.deliver)
        async with asyncio.timeout(15):
            while not await world.is_ready():
                await asyncio.sleep(0.2)
        await asyncio.sleep(2)
        healed = len(calls.ends)
        await asyncio.sleep(2)
        assert {"COMPLETED"} == set(calls.ends[healed:])
    assert {"COMPLETED", "NO_ROUTE"} == set(calls.ends)
    assert 2 == len(world.accessors("tollgate-router", "tollgate-router-admin"))
    world.suite.process.terminate()
    assert 0 == await world.suite.process.wait()
    assert [] == world.accessors("tollgate-router", "tollgate-router-admin")
