"""The door of the log: whatever passes it can be read by the verifier, for ever."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tlog import build
from tollgate.audit.v1 import audit_pb2
from tollgate_audit.log import admission, entry
from tollgate_audit.log.admission import KindNotAllowed, PayloadRefused
from tollgate_cli.deployment import topology_file
from tollgate_kit import canonical
from tollgate_tlog import fsck

KINDS = [
    name.removeprefix("ENTRY_KIND_")
    for name, number in audit_pb2.EntryKind.items()
    if number != audit_pb2.ENTRY_KIND_UNSPECIFIED
]
ADMITTED = {
    "reservation_id": "r1", "account_ids": ["key:K"], "amount_nano_usd": 9, "model": "m",
    "protocol": "openai_chat", "stream": True, "price_version": 1, "time_unix_ms": 1,
}  # fmt: skip
FINISHED = {
    "reservation_id": "r1", "cost_nano_usd": 7, "charged": True, "charge_reason": "completed",
    "usage": {"input_tokens": 1}, "usage_source": "upstream", "price_version": 1,
    "end_reason": "completed", "http_status": 200, "route": "p", "attempts": 1, "model": "m",
    "time_unix_ms": 2,
}  # fmt: skip
RESOLVED = {
    "action": "resolve_quarantine", "request_id": "q", "reservation_id": "r1",
    "amount_nano_usd": 5, "reason": "x", "actor": "operator",
    "time_unix_ms": 3,
}  # fmt: skip

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", min_size=1), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip


@st.composite
def payloads(draw, good):
    """A good payload, and what becomes of it when members are lost, replaced and added."""
    payload = dict(good)
    for member in draw(st.lists(st.sampled_from(sorted(good)), max_size=2)):
        payload.pop(member, None)
    members = st.sampled_from([*sorted(good), "quarantined_nano_usd", "extra"])
    return payload | draw(st.dictionaries(members, values, max_size=2))


def admitted(identity, kind, payload) -> bool:
    try:
        admission.check(identity, kind, canonical.loads_object(canonical.dumps(payload)))
    except (KindNotAllowed, PayloadRefused):
        return False
    return True


def faults(entries: list[tuple[str, str, dict]]) -> list:
    """What the verifier finds in a log of these (identity, kind, payload)."""
    sequences: dict[str, int] = {}
    leaves = []
    for identity, kind, payload in entries:
        sequences[identity] = sequences.get(identity, 0) + 1
        leaves.append(
            entry.build_leaf(
                kind=kind, payload=canonical.dumps(payload), producer=f"{identity}/1",
                sequence=sequences[identity], subject="", tenant_id="T", trace_id="t",
            )
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        build.publish(Path(directory), leaves)
        return fsck.check(Path(directory), [build.KEY], now_unix_ms=0).faults.kept


@settings(max_examples=300, deadline=None)
@given(payloads(ADMITTED), payloads(FINISHED), payloads(RESOLVED))
def test_case_R6_what_is_admitted_never_breaks_the_log(admit, finish, resolve):
    """Any payload: either it is refused at the door, or the log that holds it verifies."""
    finish["reservation_id"] = admit.get("reservation_id")
    entries = [
        ("edge-api", "CALL_ADMITTED", admit),
        ("edge-api", "CALL_FINISHED", finish),
        ("budget", "BUDGET_CHANGED", resolve),
    ]
    taken = [item for item in entries if admitted(*item)]
    if ("CALL_FINISHED" in [kind for _, kind, _ in taken]) and entries[0] not in taken:
        taken = [("edge-api", "CALL_ADMITTED", ADMITTED | {"reservation_id": admit["reservation_id"]}), *taken]  # fmt: skip
    assert [] == faults(taken)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(admission.SCHEMAS)), st.dictionaries(st.text("abc_", min_size=1, max_size=6), values, max_size=4))  # fmt: skip
def test_case_R6_random_payloads_of_every_kind(kind, payload):
    """Random members under every kind, from the producer that may append it."""
    identity = next(who for who, kinds in admission.PRODUCERS.items() if kind in kinds)
    if admitted(identity, kind, payload):
        assert [] == faults([(identity, kind, payload)])


@pytest.mark.parametrize(
    "bad",
    [
        {"cost_nano_usd": -1}, {"cost_nano_usd": "7"}, {"cost_nano_usd": True}, {"charged": 1},
        {"reservation_id": ""}, {"reservation_id": None}, {"usage": {"input_tokens": -1}},
        {"usage": {"a": {}}}, {"extra": []}, {"extra": {"a": 1}}, {"time_unix_ms": "now"},
        {"quarantined_nano_usd": -5},
    ],
    ids=str,
)  # fmt: skip
def test_case_R6_a_malformed_finished_entry_is_refused(bad):
    """The wrong type, range or shape of one member refuses the entry and names the member."""
    assert admitted("edge-api", "CALL_FINISHED", FINISHED)
    with pytest.raises(PayloadRefused) as refused:
        admission.check("edge-api", "CALL_FINISHED", FINISHED | bad)
    assert next(iter(bad)) == refused.value.member


def test_case_R6_every_required_member_is_required():
    """Leaving out any one of them refuses the entry."""
    for kind, payload in (("CALL_ADMITTED", ADMITTED), ("CALL_FINISHED", FINISHED)):
        for member in admission.SCHEMAS[kind].required:
            rest = {name: value for name, value in payload.items() if name != member}
            assert not admitted("edge-api", kind, rest), member
    resolved = {k: v for k, v in RESOLVED.items() if k != "amount_nano_usd"}
    assert not admitted("budget", "BUDGET_CHANGED", resolved)


def test_case_R6_a_newer_producer_may_say_more():
    """Members that audit does not know are admitted when they are plain values."""
    more = {"quarantined_nano_usd": 5, "note": "x", "flag": True, "nothing": None, "count": -3}
    assert admitted("edge-api", "CALL_FINISHED", FINISHED | more)


def test_case_R6_each_kind_belongs_to_those_that_make_it():
    """Nobody appends another service's kinds; a stranger and an unknown kind get nothing."""
    assert not admitted("edge-api", "KEY_ISSUED", {"key_id": "K", "change": "key_issued", "actor": "o", "request_id": "q", "time_unix_ms": 1})  # fmt: skip
    for identity in (*admission.PRODUCERS, "operator", "", "audit"):
        for kind in KINDS:
            allowed = kind in admission.PRODUCERS.get(identity, ())
            refused = False
            try:
                admission.check(identity, kind, {})
            except KindNotAllowed:
                refused = True
            except PayloadRefused:
                pass
            assert allowed is not refused, (identity, kind)
    assert not admitted("edge-api", "NEVER_HEARD", {})
    money = {"CALL_FINISHED": {"edge-api"}, "BUDGET_CHANGED": {"budget"}, "KEY_ISSUED": {"authz"}}
    for kind, owners in money.items():
        assert owners == {who for who, kinds in admission.PRODUCERS.items() if kind in kinds}


def test_case_R6_the_table_knows_everybody_who_may_call():
    """Who is on the allow-list of Append has its line in the table, and nobody else."""
    allowed = topology_file.packaged().processes["audit"].allow["tollgate.audit.v1.AuditService"]
    assert set(allowed) == set(admission.PRODUCERS)
    assert {kind for kinds in admission.PRODUCERS.values() for kind in kinds} <= set(KINDS)
    assert {kind for kinds in admission.PRODUCERS.values() for kind in kinds} == set(
        admission.SCHEMAS
    )


@pytest.mark.parametrize("depth", [2, 100, 300, 900])
def test_case_R6_a_deeply_nested_payload_is_refused(depth):
    """What a reader could not unfold does not get in, and is refused as any other bad value."""
    nest = b"[" * depth + b"1" + b"]" * depth
    payload = b'{"model":"m","reason":"r","time_unix_ms":1,"x":' + nest + b"}"
    with pytest.raises(ValueError):
        admission.check("edge-api", "CALL_DENIED", canonical.loads_object(payload))
