"""The decision table: what refuses, in which order, and what a grant carries."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.authz_records import NOW, subject
from tollgate_authz.keys import policy
from tollgate_authz.keys.policy import Reason
from tollgate_authz.tenants.directory import KeyState

HOME = "203.0.113.7"


def decide(who, *, model="m", ip=HOME, now=NOW):
    address = policy.read_address(ip) if ip else None
    return policy.decide(who, model=model, client_ip=address, now=now)


BROKEN = [
    ({"state": KeyState.REVOKED}, Reason.REVOKED),
    ({"expire_unix_ms": NOW}, Reason.EXPIRED),
    ({"state": KeyState.DISABLED}, Reason.DISABLED),
    ({"tenant_enabled": False}, Reason.TENANT_SUSPENDED),
    ({"ip_allowlist": ("192.0.2.0/24",)}, Reason.IP_NOT_ALLOWED),
    ({"allowed_models": ("other",)}, Reason.MODEL_NOT_ALLOWED),
]


@pytest.mark.parametrize("first", range(len(BROKEN)))
def test_the_first_broken_rule_is_the_reason(first):
    """With a rule and every later one broken, the earlier is told: key, then tenant, then call."""
    fields: dict = {}
    for broken, _ in reversed(BROKEN[first:]):
        fields.update(broken)
    assert BROKEN[first][1] == decide(subject(**fields)).outcome


def test_an_unproven_key_is_unknown():
    """Without a proof nothing about the key is told."""
    assert Reason.UNKNOWN_KEY == decide(None).outcome


def test_what_an_operator_may_lift_is_not_kept():
    """A suspended or disabled denial is not cached; the others are for 30 s."""
    for fields, reason in BROKEN:
        kept = 0 if reason in {Reason.DISABLED, Reason.TENANT_SUSPENDED} else 30_000
        assert kept == decide(subject(**fields)).max_age_ms


@pytest.mark.parametrize(
    ("left_ms", "max_age_ms"), [(1, 1), (29_999, 29_999), (30_000, 30_000), (90_000, 30_000)]
)
def test_a_grant_ends_with_its_key(left_ms, max_age_ms):
    """A grant is never good for longer than 30 s or than the key."""
    made = decide(subject(expire_unix_ms=NOW + left_ms))
    assert isinstance(made.outcome, policy.Grant)
    assert max_age_ms == made.max_age_ms


@pytest.mark.parametrize(
    ("allowed", "model", "granted"),
    [
        ((), "anything", True),
        (("m",), "m", True),
        (("m",), "M", False),
        (("m",), "m ", False),
        (("m",), "m\x00", False),
        (("a", "b"), "b", True),
        (("a", "b"), "a,b", False),
        (("m",), "", True),
    ],
)
def test_models(allowed, model, granted):
    """Any, exactly one, or a set; compared exactly; a call that names no model is not refused."""
    made = decide(subject(allowed_models=allowed), model=model)
    assert granted == isinstance(made.outcome, policy.Grant)


@pytest.mark.parametrize(
    ("allowlist", "ip", "granted"),
    [
        ((), "", True),
        (("203.0.113.0/24",), HOME, True),
        (("203.0.113.0/24",), "203.0.114.1", False),
        (("203.0.113.0/24",), "", False),
        (("203.0.113.0/24",), "::ffff:203.0.113.7", True),
        (("203.0.113.0/24",), "::203.0.113.7", False),
        (("203.0.113.0/24",), "64:ff9b::cb00:7107", False),
        (("::ffff:203.0.113.0/120",), HOME, True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "2001:db9::1", False),
        (("2001:db8::/32",), HOME, False),
        (("::/0",), HOME, False),
        (("0.0.0.0/0",), HOME, True),
        (("0.0.0.0/0",), "2001:db8::1", False),
        (("192.0.2.1/32", "2001:db8::1/128"), "2001:db8::1", True),
        (("192.0.2.1",), "192.0.2.1", True),
    ],
)
def test_addresses(allowlist, ip, granted):
    """IPv4, IPv6, IPv4 mapped into IPv6; no address matches no list."""
    made = decide(subject(ip_allowlist=allowlist), ip=ip)
    assert granted == isinstance(made.outcome, policy.Grant)


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_a_mapped_address_is_its_ipv4_address(network, bits, address):
    """Whatever the list, ::ffff:a.b.c.d is judged as a.b.c.d."""
    block = (str(ipaddress.ip_network((network, bits), strict=False)),)
    plain = policy.address_allowed(policy.read_address(str(address)), block)
    mapped = policy.address_allowed(policy.read_address(f"::ffff:{address}"), block)
    assert plain == mapped == (address in ipaddress.ip_network(block[0]))


@pytest.mark.parametrize(
    ("fields", "accounts"),
    [
        ({}, ["key:{key}", "tenant:T1"]),
        ({"group_id": "G1"}, ["key:{key}", "group:G1", "tenant:T1"]),
    ],
)
def test_budget_accounts(fields, accounts):
    """A call is counted on the key, its group and the tenant, whatever limits they have."""
    who = subject(**fields)
    grant = decide(who).outcome
    assert isinstance(grant, policy.Grant)
    assert [a.format(key=who.key.key_id) for a in accounts] == list(grant.budget_account_ids)


def test_rate_limits():
    """Each limit is a bucket in its tenant's Redis slot, with a minute's worth at once."""
    who = subject(requests_per_minute=60, tokens_per_minute=10_000)
    grant = decide(who).outcome
    assert isinstance(grant, policy.Grant)
    name = f"key:{who.key.key_id}"
    assert (
        policy.RateLimit(
            bucket=f"{name}:requests",
            unit=policy.RateUnit.REQUESTS,
            burst=60,
            count=60,
            period_ms=60_000,
        ),
        policy.RateLimit(
            bucket=f"{name}:tokens",
            unit=policy.RateUnit.TOKENS,
            burst=10_000,
            count=10_000,
            period_ms=60_000,
        ),
    ) == grant.rate_limits
    assert () == policy.rate_limits(subject().key)
