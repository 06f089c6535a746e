"""Entries: what may stand in the log, and as which bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_audit.log import entry
from tollgate_audit.log.entry import EntryRefused
from tollgate_kit import canonical
from tollgate_tlog import entry_check

names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=40)
values = st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=9) | st.booleans() | st.none()


@given(names, names, names, st.dictionaries(st.text("ab_", min_size=1), values, max_size=4))
def test_a_leaf_is_canonical_and_holds_the_payload_as_received(producer, tenant, trace, body):
    """Whatever the names hold, the leaf is RFC 8785 and the auditors' reader takes it."""
    payload = canonical.dumps(body)
    leaf = entry.build_leaf(
        kind="LOGIN",
        payload=payload,
        producer=producer,
        sequence=7,
        subject="abc",
        tenant_id=tenant,
        trace_id=trace,
    )
    canonical.check(leaf)
    assert payload in leaf
    assert entry_check.read_entry(leaf) == {
        "kind": "LOGIN",
        "payload": body,
        "producer": producer,
        "sequence": 7,
        "subject": "abc",
        "tenant": tenant,
        "trace_id": trace,
    }


def test_the_largest_leaf_fits_a_bundle():
    """A payload of 60,000 bytes with the longest names is still sayable in a bundle."""
    name = '"' * entry.NAME_BYTES_MAX
    leaf = entry.build_leaf(
        kind="CONTENT_BLOCKED",
        payload=b"x" * entry.PAYLOAD_BYTES_MAX,
        producer=name,
        sequence=entry.SEQUENCE_MAX,
        subject="a" * 22,
        tenant_id=name,
        trace_id=name,
    )
    assert len(leaf) <= 65_535


@pytest.mark.parametrize("value", ["a" * 257, "é" * 129, "a\nb", "a\x00", "\u2028", "\ud800"])
def test_a_name_that_cannot_be_stored_is_refused(value):
    """Names are bounded and printable."""
    with pytest.raises((EntryRefused, UnicodeEncodeError)):
        entry.check_name("trace_id", value)


@pytest.mark.parametrize(
    ("producer", "identity", "ok"),
    [
        ("edge-api/1", "edge-api", True),
        ("edge-api/1/2", "edge-api", True),
        ("edge-api/1", "edge", False),
        ("edge-api/", "edge-api", False),
        ("edge-api", "edge-api", False),
        ("/1", "", False),
        ("router/1", "edge-api", False),
    ],
)
def test_a_producer_belongs_to_its_certificate(producer, identity, ok):
    """A producer id is bound to the caller's identity."""
    assert ok == entry.is_producer_of(producer, identity)


def test_a_pseudonym_links_one_subject_under_one_key_only():
    """Same key and subject: same pseudonym; else another, and never the subject itself."""
    one = entry.pseudonym(bytes(32), "operator:alice")
    assert one == entry.pseudonym(bytes(32), "operator:alice")
    assert one != entry.pseudonym(bytes(32), "operator:bob")
    assert one != entry.pseudonym(b"1" * 32, "operator:alice")
    assert len(one) == 22
    assert json.dumps(one) == f'"{one}"'
