"""What is read from a request's head, and what is written into an answer's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.errors import money
from tollgate_edge.headers import answer_headers, request_headers
from tollgate_edge.headers.answer_headers import Facts

TEXT = st.one_of(st.binary(max_size=100), st.text(max_size=80).map(lambda t: t.encode()))
SAFE = re.compile(rb"[\x20-\x7e]*")


def read(*headers):
    return request_headers.read(headers)


@given(TEXT, TEXT, TEXT)
def test_no_text_of_a_client_can_inject_a_header(identifier, version, beta):
    """Whatever a client writes, what is echoed or forwarded is plain text of a known alphabet."""
    found = read(
        (b"x-request-id", identifier), (b"anthropic-version", version), (b"anthropic-beta", beta)
    )
    facts = Facts(trace_id="0-0", request_id=found.request_id or "0-0", route="demo", receipt=1)
    for name, value in answer_headers.build(facts):
        assert SAFE.fullmatch(name)
        assert SAFE.fullmatch(value)
    for value in found.protocol.values():
        assert SAFE.fullmatch(value.encode())
    assert re.fullmatch(r"[A-Za-z0-9_-]{0,64}", found.request_id)


def test_case_P14_betas_that_were_dropped_are_named():
    """Plain words by name, at most 16; the rest is a number, so that no text can be injected."""
    odd = ("context-1m-2025-08-07", "a\r\nx: y", "\u00e9", "x" * 100)
    facts = Facts(trace_id="0-0", request_id="0-0", dropped_betas=odd)
    named = dict(answer_headers.build(facts))[b"x-tollgate-dropped-betas"]
    assert b"context-1m-2025-08-07,other=3" == named
    assert b"x-tollgate-dropped-betas" not in dict(answer_headers.build(Facts("0-0", "0-0")))


def test_case_P14_one_odd_beta_does_not_take_the_header_with_it():
    """Two headers are one list; a flag of another alphabet stays a flag, printable and odd."""
    found = read((b"anthropic-beta", b"one,\xff!"), (b"anthropic-beta", b"two," + b"x" * 2000))
    assert ["one", "?!", "two", "x" * 2000] == found.protocol["anthropic-beta"].split(",")


@given(st.text(max_size=100), st.integers(1, 3))
def test_a_providers_name_is_a_word_or_hidden(provider, attempt):
    """The route header holds a plain word, `other`, or `fallback`."""
    name = answer_headers.route_name(provider, attempt)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name)
    assert (name == "fallback") or attempt == 1


def test_credentials_come_from_two_headers_in_any_case():
    """Bearer of any case and x-api-key; the same key twice is one; other schemes are none."""
    found = read(
        (b"authorization", b"bEaReR  one "), (b"x-api-key", b"two"), (b"x-api-key", b"one"),
        (b"authorization", b"Basic eHg="),
    )  # fmt: skip
    assert ["one", "two"] == found.credentials


@pytest.mark.parametrize(
    "query",
    [
        b"key=x", b"a=1&api_key=x", b"API%5FKEY=x", b"x-api-key=x", b"access_token=x",
        b"a=1;key=x", b"Authorization=Bearer+x", b"%6b%65%79=x", b"key", b"+key+=x",
    ],
)  # fmt: skip
def test_a_credential_in_the_query_is_found(query):
    """However it is spelt."""
    assert request_headers.credential_in_query(query)


@pytest.mark.parametrize("query", [b"", b"beta=true", b"monkey=1", b"limit=20&after=key"])
def test_other_queries_pass(query):
    """?beta=true is what clients send."""
    assert not request_headers.credential_in_query(query)


@given(st.integers(-(10**15), 10**18))
def test_usd_is_exact(nano_usd):
    """The text is the very amount: no rounding, no exponent, no trailing zero."""
    text = money.usd(nano_usd)
    sign, _, digits = text.rpartition("-")
    whole, _, fraction = digits.partition(".")
    value = int(whole) * 10**9 + int(fraction.ljust(9, "0") or "0")
    assert nano_usd == (-value if text.startswith("-") else value)
    assert not (fraction and fraction.endswith("0"))
    assert "" == sign


def test_what_is_not_known_has_no_header():
    """An unknown cost is absent, not zero."""
    names = {
        name
        for name, _ in answer_headers.build(Facts(trace_id="t", request_id="r", cost_nano_usd=None))
    }
    assert b"x-tollgate-cost-usd" not in names
    assert b"x-tollgate-receipt" not in names
