"""Check and the admin RPCs over the store in memory."""

import io

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tollgate.audit.v1 import audit_pb2
from tollgate.authz.v1 import authz_pb2
from tollgate_authz import admin_servicer
from tollgate_authz.admin_servicer import AuthzAdminServicer
from tollgate_authz.keys.key import Peppers, hmac_sha256
from tollgate_authz.keys.revocations import RevocationFeed
from tollgate_authz.servicer import AuthzServicer
from tollgate_authz.tenants.store_memory import MemoryStore
from tollgate_kit import canonical, virtual_key
from tollgate_kit.clock import ManualClock
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log
from tollgate_kit.metrics import Metrics
from tollgate_kit.rpc.failure import Failure, audit_not_durable, store_unavailable
from tollgate_kit.secret import Secret


class Ledger:
    """An audit log in memory that can be away."""

    def __init__(self) -> None:
        self.entries: list[dict] = []
        self.away = False

    async def append(self, kind, *, tenant_id, trace_id, subject, payload):
        if self.away:
            raise audit_not_durable()
        canonical.dumps(payload)
        self.entries.append(
            {"kind": kind, "tenant_id": tenant_id, "subject": subject, "payload": payload}
        )
        return len(self.entries)


class CountingStore(MemoryStore):
    """The memory store, counting what Check costs; it can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.finds = 0
        self.away = False

    async def find(self, public_id):
        self.finds += 1
        if self.away:
            raise store_unavailable("test")
        return await super().find(public_id)


class Authz:
    """Both servicers over one store, and a way to call them."""

    def __init__(self) -> None:
        self.macs = 0
        self.clock, self.store, self.ledger = ManualClock(), CountingStore(), Ledger()
        self.logged = io.StringIO()
        log, metrics = Log("test", out=self.logged), Metrics("test")
        peppers = Peppers({1: Secret(b"p" * 32)}, mac=self.count)
        feed = RevocationFeed(self.store, clock=self.clock, metrics=metrics, log=log)
        self.check_servicer = AuthzServicer(
            store=self.store, peppers=peppers, feed=feed, clock=self.clock, metrics=metrics
        )
        self.admin = AuthzAdminServicer(
            store=self.store,
            peppers=peppers,
            evidence=self.ledger,
            feed=feed,
            ids=Ids(self.clock),
            clock=self.clock,
            log=log,
        )
        self.requests = 0

    def count(self, key, message):
        self.macs += 1
        return hmac_sha256(key, message)

    async def call(self, rpc, **fields):
        self.requests += 1
        request_type = getattr(authz_pb2, f"{rpc}Request")
        if "request_id" in request_type.DESCRIPTOR.fields_by_name:
            fields.setdefault("request_id", f"R{self.requests}")
        return await getattr(self.admin, rpc)(request_type(**fields), None)

    async def issue(self, **fields):
        if "tenant_id" not in fields:
            made = await self.call("CreateTenant", name=f"tenant {self.requests}")
            fields["tenant_id"] = made.tenant.tenant_id
        fields = {"name": "a key", "environment": "live", **fields}
        return await self.call("IssueKey", **fields)

    async def check(self, text, model="m", client_ip="192.0.2.1"):
        request = authz_pb2.CheckRequest(presented_key=text, model=model, client_ip=client_ip)
        return await self.check_servicer.Check(request, None)

    async def reason(self, text, **fields):
        denial = (await self.check(text, **fields)).decision.denial
        return authz_pb2.DenialReason.Name(denial.reason).removeprefix("DENIAL_REASON_")


@pytest.fixture
def authz():
    return Authz()


async def refused(awaitable):
    with pytest.raises(Failure) as caught:
        await awaitable
    return caught.value.reason, caught.value.metadata


async def test_an_issued_key_is_granted(authz):
    """The text shown once is the key; its grant names tenant, accounts and limits."""
    issued = await authz.issue(requests_per_minute=60)
    response = await authz.check(issued.secret)
    grant = response.decision.grant
    key_id, tenant_id = issued.key.key_id, issued.key.tenant_id
    assert (tenant_id, key_id) == (grant.tenant_id, grant.key_id)
    assert [f"key:{key_id}", f"tenant:{tenant_id}"] == list(grant.budget_account_ids)
    (limit,) = grant.rate_limits
    assert (f"key:{key_id}:requests", 60) == (limit.bucket, limit.count)
    assert authz_pb2.RATE_UNIT_REQUESTS == limit.unit
    assert (1, 30_000) == (response.revision, response.max_age.ToMilliseconds())
    assert issued.secret.startswith(issued.key.public_prefix + "_")


async def test_a_check_is_one_read_and_one_mac(authz):
    """Known, wrong or unknown: one query, one HMAC. Malformed: neither."""
    issued, other = await authz.issue(), await authz.issue()
    prefix = issued.key.public_prefix
    wrong = swap_secret(issued.secret, other.secret)
    unknown = swap_secret(issued.secret, issued.secret, public_id="Z" * 12)
    assert wrong.startswith(prefix)
    malformed = issued.secret[:-1] + ("0" if issued.secret[-1] != "0" else "1")
    for text, reason, work in (
        (issued.secret, "UNSPECIFIED", (1, 1)),
        (wrong, "UNKNOWN_KEY", (1, 1)),
        (unknown, "UNKNOWN_KEY", (1, 1)),
        (malformed, "UNKNOWN_KEY", (0, 0)),
        ("", "UNKNOWN_KEY", (0, 0)),
        ("sk-" + "x" * 100_000, "UNKNOWN_KEY", (0, 0)),
    ):
        authz.macs = authz.store.finds = 0
        assert reason == await authz.reason(text)
        assert work == (authz.store.finds, authz.macs)


def swap_secret(text, donor, *, public_id=None):
    """A well-formed key with one key's public id and another's secret."""
    one, other = virtual_key.parse(text), virtual_key.parse(donor)
    assert one is not None
    assert other is not None
    return virtual_key.make("live", public_id or one.public_id, other.secret).reveal()


async def test_a_store_that_is_away_is_no_denial(authz):
    """An outage is a failed RPC with its reason, for good and bad keys alike."""
    issued = await authz.issue()
    authz.store.away = True
    assert "STORE_UNAVAILABLE" == (await refused(authz.check(issued.secret)))[0]
    authz.store.away = False
    assert issued.key.key_id == (await authz.check(issued.secret)).decision.grant.key_id


async def test_states_of_a_key(authz):
    """Disable, enable, suspend, resume, expire, revoke: each is the reason at the next Check."""
    soon = Timestamp()
    soon.FromMilliseconds(authz.clock.unix_ms() + 60_000)
    issued = await authz.issue(expire_time=soon)
    key_id, tenant_id, text = issued.key.key_id, issued.key.tenant_id, issued.secret
    revisions = []
    for rpc, fields, reason in (
        ("SetKeyEnabled", {"key_id": key_id, "enabled": False}, "DISABLED"),
        ("SetKeyEnabled", {"key_id": key_id, "enabled": True}, "UNSPECIFIED"),
        ("SetTenantEnabled", {"tenant_id": tenant_id, "enabled": False}, "TENANT_SUSPENDED"),
        ("SetTenantEnabled", {"tenant_id": tenant_id, "enabled": True}, "UNSPECIFIED"),
    ):
        revisions.append((await authz.call(rpc, **fields)).revision)
        assert reason == await authz.reason(text)
        assert revisions[-1] == (await authz.check(text)).revision
    assert [2, 2, 3, 3] == revisions
    authz.clock.advance(59)
    assert 1_000 == (await authz.check(text)).max_age.ToMilliseconds()
    authz.clock.advance(1)
    assert "EXPIRED" == await authz.reason(text)
    await authz.call("RevokeKey", key_id=key_id, reason="lost")
    assert "REVOKED" == await authz.reason(text)
    enable = authz.call("SetKeyEnabled", key_id=key_id, enabled=True)
    told, metadata = await refused(enable)
    assert ("INVALID_FIELD", "key_id") == (told, metadata["field"])


async def test_policy_of_a_call(authz):
    """Model and address are judged per call, with the mapped form of an address."""
    issued = await authz.issue(allowed_models=["m"], ip_allowlist=["192.0.2.0/24"])
    assert "UNSPECIFIED" == await authz.reason(issued.secret, client_ip="::ffff:192.0.2.9")
    assert "MODEL_NOT_ALLOWED" == await authz.reason(issued.secret, model="n")
    assert "IP_NOT_ALLOWED" == await authz.reason(issued.secret, client_ip="2001:db8::1")
    assert "IP_NOT_ALLOWED" == await authz.reason(issued.secret, client_ip="")
    assert "INVALID_FIELD" == (await refused(authz.check(issued.secret, client_ip="x")))[0]


async def test_a_secret_is_shown_once(authz):
    """A replay gets the stored answer without the secret; other content a mismatch."""
    made = await authz.call("CreateTenant", name="one")
    fields = {"tenant_id": made.tenant.tenant_id, "request_id": "K"}
    first = await authz.issue(**fields)
    again = await authz.issue(**fields)
    assert (first.key, "", True) == (again.key, again.secret, again.replayed)
    assert (True, False) == (bool(first.secret), first.replayed)
    mismatch = await refused(authz.issue(**fields, requests_per_minute=1))
    assert "IDEMPOTENCY_MISMATCH" == mismatch[0]
    other_rpc = await refused(authz.call("CreateTenant", name="two", request_id="K"))
    assert "IDEMPOTENCY_MISMATCH" == other_rpc[0]
    assert 2 == len(authz.ledger.entries)


async def test_every_change_is_replayed(authz):
    """Each changing RPC, sent twice, changes once and answers the same."""
    issued = await authz.issue()
    tenant_id, key_id = issued.key.tenant_id, issued.key.key_id
    for number, (rpc, fields) in enumerate(
        (
            ("CreateTenant", {"name": "twice"}),
            ("CreateGroup", {"tenant_id": tenant_id, "name": "g"}),
            ("SetTenantEnabled", {"tenant_id": tenant_id, "enabled": False}),
            ("SetKeyEnabled", {"key_id": key_id, "enabled": False}),
            ("RevokeKey", {"key_id": key_id}),
        )
    ):
        before = len(authz.ledger.entries)
        answers = [await authz.call(rpc, request_id=f"T{number}", **fields) for _ in range(2)]
        for answer in answers:
            if hasattr(answer, "replayed"):
                answer.ClearField("replayed")
        assert answers[0] == answers[1]
        assert before + 1 == len(authz.ledger.entries)


async def test_evidence_before_effect(authz):
    """Audit away: no change of any kind, AUDIT_NOT_DURABLE; Check goes on."""
    issued = await authz.issue()
    authz.ledger.away = True
    tenant_id, key_id = issued.key.tenant_id, issued.key.key_id
    for rpc, fields in (
        ("CreateTenant", {"name": "no"}),
        ("CreateGroup", {"tenant_id": tenant_id, "name": "no"}),
        ("SetTenantEnabled", {"tenant_id": tenant_id, "enabled": False}),
        ("IssueKey", {"tenant_id": tenant_id, "name": "no", "environment": "dev"}),
        ("SetKeyEnabled", {"key_id": key_id, "enabled": False}),
        ("RevokeKey", {"key_id": key_id}),
    ):
        assert "AUDIT_NOT_DURABLE" == (await refused(authz.call(rpc, **fields)))[0]
    assert "UNSPECIFIED" == await authz.reason(issued.secret)
    assert (1, 0, 1) == (
        len((await authz.call("ListTenants")).tenants),
        len((await authz.call("ListGroups", tenant_id=tenant_id)).groups),
        len((await authz.call("ListKeys", tenant_id=tenant_id)).keys),
    )


async def test_entries_and_logs_hold_ids_only(authz):
    """No secret, name or reason in an entry or a log line; ids and kinds are."""
    made = await authz.call("CreateTenant", name="Canary Tenant")
    tenant_id = made.tenant.tenant_id
    grouped = await authz.call("CreateGroup", tenant_id=tenant_id, name="Canary Group")
    issued = await authz.issue(
        tenant_id=tenant_id, name="Canary Key", group_id=grouped.group.group_id
    )
    await authz.call("SetKeyEnabled", key_id=issued.key.key_id, enabled=False)
    await authz.call("RevokeKey", key_id=issued.key.key_id, reason="Canary Reason")
    await refused(authz.call("CreateTenant", name="Canary Tenant"))
    await authz.check(issued.secret)
    written = authz.logged.getvalue() + repr(authz.ledger.entries)
    for canary in ("Canary", issued.secret, issued.secret.split("_")[1], "public_id"):
        assert canary not in written
    kinds = [
        audit_pb2.ENTRY_KIND_TENANT_CHANGED,
        audit_pb2.ENTRY_KIND_TENANT_CHANGED,
        audit_pb2.ENTRY_KIND_KEY_ISSUED,
        audit_pb2.ENTRY_KIND_KEY_CHANGED,
        audit_pb2.ENTRY_KIND_KEY_REVOKED,
    ]
    assert kinds == [entry["kind"] for entry in authz.ledger.entries]
    assert {tenant_id} == {entry["tenant_id"] for entry in authz.ledger.entries}
    assert issued.key.key_id == authz.ledger.entries[-1]["payload"]["key_id"]


async def test_reading_back(authz):
    """GetKey and the lists show what was issued, and never a secret."""
    issued = await authz.issue(allowed_models=["m"], ip_allowlist=["192.0.2.1"])
    assert ["192.0.2.1/32"] == list(issued.key.ip_allowlist)
    shown = await authz.call("GetKey", key_id=issued.key.key_id)
    listed = await authz.call("ListKeys", tenant_id=issued.key.tenant_id)
    assert [issued.key, issued.key] == [shown.key, *listed.keys]
    assert authz_pb2.KEY_STATE_ENABLED == shown.key.state
    assert issued.secret.split("_")[1] not in str(shown) + str(listed)


async def test_refusals_name_what_is_wrong(authz):
    """Missing things, taken names and bad fields are told apart, and none reaches the audit log."""
    issued = await authz.issue()
    tenant_id = issued.key.tenant_id
    taken = (await authz.call("ListTenants")).tenants[0].name
    before = len(authz.ledger.entries)
    past = Timestamp(seconds=1)
    for rpc, fields, reason, detail in (
        ("CreateTenant", {"name": taken}, "ALREADY_EXISTS", "tenant"),
        ("CreateTenant", {"name": ""}, "INVALID_FIELD", "name"),
        ("CreateTenant", {"name": "n", "request_id": ""}, "INVALID_FIELD", "request_id"),
        ("CreateGroup", {"tenant_id": "no", "name": "g"}, "NOT_FOUND", "tenant"),
        ("SetTenantEnabled", {"tenant_id": "no"}, "NOT_FOUND", "tenant"),
        ("SetTenantEnabled", {"tenant_id": "a b"}, "INVALID_FIELD", "tenant_id"),
        ("GetKey", {"key_id": "no"}, "NOT_FOUND", "key"),
        ("GetKey", {"key_id": ""}, "INVALID_FIELD", "key_id"),
        ("SetKeyEnabled", {"key_id": "no"}, "NOT_FOUND", "key"),
        ("RevokeKey", {"key_id": "no"}, "NOT_FOUND", "key"),
        ("RevokeKey", {"key_id": "no", "reason": "\n"}, "INVALID_FIELD", "reason"),
        ("ListKeys", {"tenant_id": ""}, "INVALID_FIELD", "tenant_id"),
        ("ListGroups", {"tenant_id": ""}, "INVALID_FIELD", "tenant_id"),
    ):
        told, metadata = await refused(authz.call(rpc, **fields))
        assert (reason, detail) == (told, metadata.get("kind") or metadata.get("field"))
    for field, value in (
        ("tenant_id", ""),
        ("group_id", "a b"),
        ("environment", "prod"),
        ("allowed_models", ["a b"]),
        ("ip_allowlist", ["10.0.0.1/8"]),
        ("monthly_limit_nano_usd", 5),
        ("requests_per_minute", -1),
        ("tokens_per_minute", -1),
        ("expire_time", past),
    ):
        told, metadata = await refused(authz.issue(**{"tenant_id": tenant_id, field: value}))
        assert ("INVALID_FIELD", field) == (told, metadata["field"])
    missing = await refused(authz.issue(tenant_id=tenant_id, group_id="no"))
    assert ("NOT_FOUND", "group") == (missing[0], missing[1]["kind"])
    assert before == len(authz.ledger.entries)


async def test_a_list_that_was_cut_is_refused(authz, monkeypatch):
    """A part must not pass for the whole."""
    monkeypatch.setattr(admin_servicer, "LIST_MAX", 0)
    await authz.call("CreateTenant", name="one too many")
    assert "OVERLOADED" == (await refused(authz.call("ListTenants")))[0]


async def test_a_negative_cursor_is_refused(authz):
    """A cursor is 0 or a revision."""
    request = authz_pb2.WatchRevocationsRequest(after_revision=-1)
    stream = authz.check_servicer.WatchRevocations(request, None)
    assert "INVALID_FIELD" == (await refused(anext(stream)))[0]
