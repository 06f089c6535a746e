"""What a caller may write in each field, and that a refusal names the field without its content."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tests.authz_records import NOW
from tollgate_authz import fields
from tollgate_kit.rpc.failure import Failure

REFUSED = [
    (fields.identifier, ""),
    (fields.identifier, "a" * 65),
    (fields.identifier, "a b"),
    (fields.identifier, "a\n"),
    (fields.name, ""),
    (fields.name, " a"),
    (fields.name, "a\x00"),
    (fields.name, "a\u202eb"),
    (fields.name, "n" * 101),
    (fields.reason, "r" * 201),
    (fields.reason, "a\nb"),
    (fields.environment, ""),
    (fields.environment, "Live"),
    (fields.models, [""]),
    (fields.models, ["a b"]),
    (fields.models, ["a" * 129]),
    (fields.models, [str(n) for n in range(201)]),
    (fields.ip_blocks, ["10.0.0.1/8"]),
    (fields.ip_blocks, ["10.0.0.0/33"]),
    (fields.ip_blocks, ["example.com"]),
    (fields.ip_blocks, [""]),
    (fields.ip_blocks, ["10.0.0.0/8"] * 201),
    (fields.address, "010.0.0.1"),
    (fields.address, "10.0.0.1:80"),
    (fields.model_asked, "m" * 257),
    (fields.per_minute, -1),
    (fields.per_minute, 10**12 + 1),
]


@pytest.mark.parametrize(("check", "value"), REFUSED)
def test_refused(check, value):
    """A bad value is INVALID_FIELD with the field's name, and the value is not echoed."""
    with pytest.raises(Failure) as caught:
        check("a_field", value)
    assert ("INVALID_FIELD", "a_field") == (caught.value.reason, caught.value.metadata["field"])
    if isinstance(value, str) and len(value) > 4:
        assert value not in str(caught.value.metadata)


def test_accepted_as_written():
    """Names of people's languages, models of every provider, and the limits' ends pass."""
    assert "Größe 東京 – 1" == fields.name("f", "Größe 東京 – 1")
    wanted = ("gpt-4o", "anthropic/claude-3:beta", "@cf/meta/llama-3", "qwen2.5_72b")
    assert wanted == fields.models("f", [*wanted, wanted[0]])
    assert 10**12 == fields.per_minute("f", 10**12)


def test_blocks_have_one_form():
    """An address is a block of one, a mapped block is its IPv4 block, doubles go."""
    given = ["192.0.2.1", "192.0.2.1/32", "::ffff:10.0.0.0/104", "2001:DB8:0::/32"]
    assert ("192.0.2.1/32", "10.0.0.0/8", "2001:db8::/32") == fields.ip_blocks("f", given)


def test_an_unknown_address_is_none():
    """The caller may not know the client's address; that is not the same as a malformed one."""
    assert fields.address("f", "") is None


@given(st.integers(-(2**62), 2**62), st.integers(-(2**31), 2**31 - 1))
def test_expiry_lies_in_the_future(seconds, nanos):
    """Any timestamp gets an answer: milliseconds after now, or INVALID_FIELD."""
    stamp = Timestamp(seconds=seconds, nanos=nanos)
    try:
        read = fields.future("f", stamp, now=NOW)
    except Failure as failure:
        read = failure.reason
    assert "INVALID_FIELD" == read or read > NOW
