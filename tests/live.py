"""A running suite for black-box tests: real processes, real engines, real certificates.

Everything a test sets up goes through the admin RPCs with the operator's certificate, as the CLI
does; everything it observes comes over HTTP, from the read RPCs, or read-only from the stores.
"""

import contextlib
import dataclasses
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg

from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate.authz.v1 import authz_pb2, authz_pb2_grpc
from tollgate.budget.v1 import budget_pb2, budget_pb2_grpc
from tollgate.router.v1 import router_pb2, router_pb2_grpc
from tollgate_cli.suite.suite import Options, Suite
from tollgate_cli.suite.vault_logins import VaultLogins

NANO_PER_USD = 1_000_000_000
OPENAI = router_pb2.CLIENT_PROTOCOL_OPENAI_CHAT
ANTHROPIC = router_pb2.CLIENT_PROTOCOL_ANTHROPIC_MESSAGES
RESPONSES = router_pb2.CLIENT_PROTOCOL_OPENAI_RESPONSES
DASHSCOPE = router_pb2.CLIENT_PROTOCOL_DASHSCOPE
GEMINI = router_pb2.CLIENT_PROTOCOL_GEMINI
BEDROCK = router_pb2.CLIENT_PROTOCOL_BEDROCK_CONVERSE
# What a provider's base URL ends in, where it is not /v1.
BASE_PATHS = {GEMINI: "/v1beta", BEDROCK: "", DASHSCOPE: "/api/v1"}
PATHS = {OPENAI: "/v1/chat/completions", ANTHROPIC: "/v1/messages"}
# A price whose arithmetic a reader can do in the head: $1 a million tokens in, $2 out.
PRICE = {"input_pico_usd": 1_000_000, "output_pico_usd": 2_000_000}
RPC_TIMEOUT_S = 10


@dataclasses.dataclass(frozen=True)
class Key:
    """A virtual key: its id and its text."""

    key_id: str
    text: str
    tenant_id: str


class Live:
    """Drives one suite."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self._numbers = itertools.count(1)
        self._channels: dict[tuple[str, str], grpc.Channel] = {}

    # ---- set-up through the admin RPCs ----------------------------------------------------------

    def name(self, prefix: str) -> str:
        """A name no other test of this suite uses."""
        return f"{prefix}-{next(self._numbers)}-{time.monotonic_ns():x}"

    def tenant(self, limit_usd: float = 100.0) -> str:
        """A tenant with a wallet; its id."""
        request = authz_pb2.CreateTenantRequest(
            request_id=self.name("req"), name=self.name("tenant")
        )
        tenant_id: str = self.authz_admin.CreateTenant(
            request, timeout=RPC_TIMEOUT_S
        ).tenant.tenant_id
        self.set_limit(f"tenant:{tenant_id}", limit_usd)
        return tenant_id

    def set_limit(self, account_id: str, limit_usd: float | None) -> None:
        """Set an account's monthly limit, None for none."""
        request = budget_pb2.SetLimitRequest(request_id=self.name("req"), account_id=account_id)
        if limit_usd is None:
            request.no_limit = True
        else:
            request.monthly_limit_nano_usd = round(limit_usd * NANO_PER_USD)
        self.budget_admin.SetLimit(request, timeout=RPC_TIMEOUT_S)

    def key(
        self, tenant_id: str, *, limit_usd: float | None = None, opened: bool = True, **fields: Any
    ) -> Key:
        """A virtual key of a tenant, with its account; fields as in IssueKeyRequest."""
        request = authz_pb2.IssueKeyRequest(
            request_id=self.name("req"),
            tenant_id=tenant_id,
            name=self.name("key"),
            environment="test",
            **fields,
        )
        answer = self.authz_admin.IssueKey(request, timeout=RPC_TIMEOUT_S)
        if opened:
            self.set_limit(f"key:{answer.key.key_id}", limit_usd)
        return Key(answer.key.key_id, answer.secret, tenant_id)

    def group(self, tenant_id: str, limit_usd: float | None = None) -> str:
        """A group of a tenant, with its account; its id."""
        request = authz_pb2.CreateGroupRequest(
            request_id=self.name("req"), tenant_id=tenant_id, name=self.name("group")
        )
        answer = self.authz_admin.CreateGroup(request, timeout=RPC_TIMEOUT_S)
        group_id: str = answer.group.group_id
        self.set_limit(f"group:{group_id}", limit_usd)
        return group_id

    def revoke(self, key: Key) -> None:
        """Revoke a key; returns when the revision is durable."""
        request = authz_pb2.RevokeKeyRequest(
            request_id=self.name("req"), key_id=key.key_id, reason="test"
        )
        self.authz_admin.RevokeKey(request, timeout=RPC_TIMEOUT_S)

    def model(
        self,
        upstream_model: str,
        protocol: int = OPENAI,
        *,
        base_url: str | None = None,
        secret: str | None = None,
        price: dict[str, int] | None = None,
    ) -> str:
        """A new public model served by the demo provider under that upstream name; its name."""
        return self.models(
            {upstream_model: upstream_model},
            protocol,
            base_url=base_url,
            secret=secret,
            price=price,
        )[upstream_model]

    def models(
        self,
        upstream_models: dict[str, str],
        protocol: int = OPENAI,
        *,
        base_url: str | None = None,
        secret: str | None = None,
        price: dict[str, int] | None = None,
        prefix: str = "m-",
    ) -> dict[str, str]:
        """Several at once: label → upstream model becomes label → public model name."""
        provider = self.name("provider")
        public = {label: self.name(f"{prefix}{label}") for label in upstream_models}
        for name in public.values():
            fields = {
                "max_input_tokens": 100_000,
                "max_output_tokens": 1000,
                **PRICE,
                **(price or {}),
            }
            request = router_pb2.SetPriceRequest(
                request_id=self.name("req"), price=router_pb2.Price(model=name, **fields)
            )
            self.router_admin.SetPrice(request, timeout=RPC_TIMEOUT_S)
        self.router_admin.AddProvider(
            router_pb2.AddProviderRequest(
                request_id=self.name("req"),
                name=provider,
                protocol=protocol,
                base_url=base_url or self.suite.provider_url + BASE_PATHS.get(protocol, "/v1"),
                models=[
                    router_pb2.ProviderModel(model=public[label], upstream_model=upstream)
                    for label, upstream in upstream_models.items()
                ],
            ),
            timeout=RPC_TIMEOUT_S,
        )
        self.router_admin.AddProviderKey(
            router_pb2.AddProviderKeyRequest(
                request_id=self.name("req"),
                provider=provider,
                secret=secret or self.provider_key,
            ),
            timeout=RPC_TIMEOUT_S,
        )
        key = self.key(self.tenant())
        for url in self.api_urls:
            wait_until(lambda url=url: set(public.values()) <= self.listed(key, url), 10)
        return public

    def listed(self, key: Key, url: str | None = None) -> set[str]:
        """Models that a key sees, on either protocol."""
        found: set[str] = set()
        for spoken in ({}, {"anthropic-version": "2023-06-01"}):
            answer = httpx.get(
                (url or self.api_urls[0]) + "/v1/models",
                headers={"authorization": f"Bearer {key.text}", **spoken},
                timeout=10,
            )
            if answer.status_code == 200:
                found |= {m["id"] for m in answer.json()["data"]}
        return found

    # ---- calls -------------------------------------------------------------------------------------

    @property
    def api_urls(self) -> list[str]:
        """Every edge api process."""
        edges = sorted(name for name in self.suite.names if name.startswith("edge-api"))
        return [f"http://{self.suite.address(name)}" for name in edges]

    def call(
        self,
        key: Key | str,
        model: str,
        protocol: int = OPENAI,
        *,
        url: str | None = None,
        client: httpx.Client | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 30,
        **fields: Any,
    ) -> httpx.Response:
        """One call, not streamed unless fields say so (then read to its end)."""
        text = key.text if isinstance(key, Key) else key
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Say hello."}],
            "max_tokens": 16,
            **fields,
        }
        sent = {"authorization": f"Bearer {text}", **(headers or {})}
        if protocol == ANTHROPIC:
            sent["anthropic-version"] = "2023-06-01"
        post = client.post if client else httpx.post
        return post(
            (url or self.api_urls[0]) + PATHS[protocol], json=body, headers=sent, timeout=timeout
        )

    def post(
        self, key: Key, path: str, document: dict[str, Any], headers: dict[str, str]
    ) -> httpx.Response:
        """A document to any path, the answer read to its end."""
        sent = {"authorization": f"Bearer {key.text}", **headers}
        return httpx.post(self.api_urls[0] + path, json=document, headers=sent, timeout=30)

    def receipt(self, key: Key, trace_id: str) -> httpx.Response:
        """The receipt of a call."""
        return httpx.get(
            f"{self.api_urls[0]}/v1/receipts/{trace_id}",
            headers={"authorization": f"Bearer {key.text}"},
            timeout=10,
        )

    # ---- observation -------------------------------------------------------------------------------

    def account(self, account_id: str) -> Any:
        """An account in its current window."""
        request = budget_pb2.GetAccountRequest(account_id=account_id)
        return self.budget_read.GetAccount(request, timeout=RPC_TIMEOUT_S).account

    def transfers(self, account_id: str, state: int = 0) -> list[Any]:
        """All transfers of an account."""
        got: list[Any] = []
        token = ""
        while True:
            page = self.budget_read.ListTransfers(
                budget_pb2.ListTransfersRequest(
                    account_id=account_id, page_size=1000, state=state, page_token=token
                ),
                timeout=RPC_TIMEOUT_S,
            )
            got += page.transfers
            token = page.next_page_token
            if not token:
                return got

    def entries(self, start_index: int = 0) -> list[Any]:
        """Entries of the log from an index on."""
        got: list[Any] = []
        while True:
            page = self.audit_read.ListEntries(
                audit_pb2.ListEntriesRequest(start_index=start_index, page_size=1000),
                timeout=RPC_TIMEOUT_S,
            )
            if not page.entries:
                return got
            got += page.entries
            start_index = page.next_index

    def settled(self, account_id: str, seconds: float = 10) -> Any:
        """The account once nothing of it is pending but what is quarantined."""

        def done() -> bool:
            account = self.account(account_id)
            return bool(account.pending_nano_usd == account.quarantined_nano_usd)

        wait_until(done, seconds)
        return self.account(account_id)

    def database(self, name: str) -> psycopg.Connection:
        """A read-only connection to one service's store, as an inspector would have."""
        databases: dict[str, str] = self.suite.describe()["databases"]  # type: ignore[assignment]
        connection = psycopg.connect(databases[name], autocommit=True)
        connection.execute("set default_transaction_read_only = on")
        return connection

    def cli(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the tollgate command against this suite."""
        import sys

        return subprocess.run(
            [str(Path(sys.executable).parent / "tollgate"), *arguments],
            env={"TOLLGATE_HOME": str(self.suite.home.root), "PATH": "/usr/bin:/bin"},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def provider_key(self) -> str:
        """The key that the demo provider accepts."""
        return (self.suite.home.secrets / "provider-key").read_text().strip()

    # ---- stubs -------------------------------------------------------------------------------------

    def channel(self, identity: str, service: str) -> grpc.Channel:
        """A channel to a service with an identity's certificate."""
        if (identity, service) not in self._channels:
            place = self.suite.home.certificates
            credentials = grpc.ssl_channel_credentials(
                (place / "ca.pem").read_bytes(),
                (place / f"{identity}-key.pem").read_bytes(),
                (place / f"{identity}.pem").read_bytes(),
            )
            options = [
                ("grpc.ssl_target_name_override", f"{service}.tollgate.internal"),
                ("grpc.max_reconnect_backoff_ms", 500),
                ("grpc.use_local_subchannel_pool", 1),
            ]
            self._channels[identity, service] = grpc.secure_channel(
                self.suite.address(service), credentials, options
            )
        return self._channels[identity, service]

    def _operator(self, stub: Callable[[grpc.Channel], Any], service: str) -> Any:
        return stub(self.channel("operator", service))

    @property
    def authz_admin(self) -> Any:
        return self._operator(authz_pb2_grpc.AuthzAdminServiceStub, "authz")

    @property
    def budget_admin(self) -> Any:
        return self._operator(budget_pb2_grpc.BudgetAdminServiceStub, "budget")

    @property
    def budget_read(self) -> Any:
        return self._operator(budget_pb2_grpc.BudgetReadServiceStub, "budget")

    @property
    def router_admin(self) -> Any:
        return self._operator(router_pb2_grpc.RouterAdminServiceStub, "router")

    @property
    def audit_read(self) -> Any:
        return self._operator(audit_pb2_grpc.AuditReadServiceStub, "audit")

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()


@contextlib.contextmanager
def own_suite(home: Path, *, edges: int = 1, vault: VaultLogins | None = None) -> Iterator[Live]:
    """A suite that a test may stop, kill and starve; the shared one is the `live` fixture."""
    suite = Suite(home, Options(edges=edges, usual_ports=False, vault=vault))
    suite.start()
    live = Live(suite)
    try:
        yield live
    finally:
        live.close()
        suite.stop()


def wait_until(condition: Callable[[], object], seconds: float = 5.0, every: float = 0.05) -> None:
    """Wait until condition holds; fails after that long."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {seconds} s: {getattr(condition, '__name__', condition)}"
            )
        time.sleep(every)
