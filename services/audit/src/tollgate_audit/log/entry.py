"""What an entry may be, and the leaf it becomes.

Pure. Promises: a leaf is canonical JSON (RFC 8785), holds the payload byte for byte as received,
and fits a tlog bundle; who an entry is about appears only as a pseudonym. Never looks at
sequences: that is sequencer.py.
"""

from __future__ import annotations

import base64
import hmac
from json.encoder import encode_basestring
from typing import NamedTuple

PAYLOAD_BYTES_MAX = 60_000
NAME_BYTES_MAX = 256  # tenant_id, trace_id, subject, producer
SEQUENCE_MAX = 2**53 - 1  # what canonical JSON can say
_PSEUDONYM_BYTES = 16


class EntryRefused(ValueError):  # noqa: N818 - it is what happened
    """The entry cannot stand in the log: the field, and why."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


class PreparedEntry(NamedTuple):
    """An entry ready to be sequenced."""

    tenant_id: str
    trace_id: str
    leaf: bytes


def check_name(field: str, value: str) -> None:
    """Refuse a name that is too long or that no log line or SQL text could hold."""
    if len(value) > NAME_BYTES_MAX or len(value.encode()) > NAME_BYTES_MAX:
        raise EntryRefused(field, f"longer than {NAME_BYTES_MAX} bytes")
    if not value.isprintable():
        raise EntryRefused(field, "has a character that cannot be printed")


def is_producer_of(producer_id: str, identity: str) -> bool:
    """Whether a producer is named after this certificate: nobody writes another's sequence."""
    prefix, slash, rest = producer_id.partition("/")
    return bool(slash and rest and identity) and prefix == identity


def pseudonym(key: bytes, subject: str) -> str:
    """Stands for the subject as long as the tenant's key exists."""
    digest = hmac.digest(key, subject.encode(), "sha256")[:_PSEUDONYM_BYTES]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_of(leaf: bytes, tenant_id: str, trace_id: str) -> bool:
    """Whether a leaf of ours is of this call: its end is as build_leaf() writes it."""
    return leaf.endswith(_of_call(tenant_id, trace_id).encode())


def _of_call(tenant_id: str, trace_id: str) -> str:
    tenant, trace = encode_basestring(tenant_id), encode_basestring(trace_id)
    return f',"tenant":{tenant},"trace_id":{trace}}}'


def build_leaf(
    *,
    kind: str,
    payload: bytes,
    producer: str,
    sequence: int,
    subject: str,
    tenant_id: str,
    trace_id: str,
) -> bytes:
    """The leaf: one object, names sorted, payload as received. The payload is canonical."""
    head = f'{{"kind":"{kind}","payload":'
    tail = (
        f',"producer":{encode_basestring(producer)},"sequence":{sequence},"subject":"{subject}"'
        + _of_call(tenant_id, trace_id)
    )
    return head.encode() + payload + tail.encode()
