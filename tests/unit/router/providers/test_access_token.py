"""What a service account signs, and what is taken for a token."""

import json
from urllib.parse import parse_qs

import google.auth.crypt
import google.auth.jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.oauth2 import service_account
from hypothesis import given
from hypothesis import strategies as st

from tests import google as fake
from tollgate_dialects.common.google_account import BadAccountError, parse
from tollgate_dialects.common.protocol import Protocol
from tollgate_router.providers import access_token, admission
from tollgate_router.providers.access_token import TokenFault
from tollgate_router.providers.admission import InvalidField

NOW_S = 1_795_800_000
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def assertion():
    account = parse(fake.file())
    assert account is not None
    form = parse_qs(access_token.request(account, now_s=NOW_S).decode(), strict_parsing=True)
    assert ["urn:ietf:params:oauth:grant-type:jwt-bearer"] == form.pop("grant_type")
    ((text,),) = form.values()
    return text


def test_an_assertion_names_the_account_the_scope_and_one_hour():
    """Signed with the account's key: whoever has its public half can tell."""
    assert {
        "iss": fake.EMAIL, "scope": SCOPE, "aud": fake.TOKEN_URI,
        "iat": NOW_S, "exp": NOW_S + 3_600,
    } == fake.claims(assertion())  # fmt: skip


def test_an_assertion_says_what_googles_own_library_says():
    """The same members, times aside."""
    theirs = service_account.Credentials.from_service_account_info(fake.account(), scopes=[SCOPE])
    made = theirs._make_authorization_grant_assertion().decode()
    told = fake.claims(made)
    times = {"iat": NOW_S, "exp": NOW_S + 3_600}
    assert {**told, **times} == fake.claims(assertion())
    assert google.auth.jwt.decode_header(made) == google.auth.jwt.decode_header(assertion())


@pytest.mark.parametrize(
    "key", [fake.private_key(1024), ec.generate_private_key(ec.SECP256R1())], ids=["short", "ec"]
)
def test_another_kind_of_key_is_refused(key):
    """RSA of 2,048 bits or more, as Google makes them."""
    account = parse(fake.file(private_key=fake.pem(key)))
    assert account is not None
    with pytest.raises(BadAccountError):
        access_token.check(account)
    with pytest.raises(BadAccountError):
        access_token.request(account, now_s=NOW_S)


def test_a_key_that_is_none_is_refused():
    """Neither checked nor signed with."""
    lines = fake.pem(fake.private_key()).splitlines()
    broken = "\n".join([lines[0], "A" * 64, *lines[2:]])
    account = parse(fake.file(private_key=broken))
    assert account is not None
    with pytest.raises(BadAccountError) as refused:
        access_token.check(account)
    assert "AAAA" not in str(refused.value)


def test_a_token_is_read():
    """With its life, from when it was asked for."""
    answer = {"access_token": fake.TOKEN, "expires_in": 3599, "token_type": "Bearer"}
    made = access_token.read(json.dumps(answer).encode())
    assert (fake.TOKEN, 3599) == (made.token.reveal(), made.life_seconds)
    assert fake.TOKEN not in repr(made)


GOOD = {"access_token": fake.TOKEN, "expires_in": 3599, "token_type": "Bearer"}
BAD = [
    {"access_token": "short"}, {"access_token": "a b" * 9}, {"access_token": "a\r\nx: y" * 9},
    {"access_token": None}, {"access_token": 7}, {"expires_in": "3599"}, {"expires_in": 0},
    {"expires_in": -1}, {"expires_in": True}, {"expires_in": 10**9}, {"expires_in": None},
    {"token_type": "mac"}, {"token_type": None},
]  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"[]", b"7", *(json.dumps({**GOOD, **bad}).encode() for bad in BAD)],
)
def test_what_is_no_token_is_none(answer):
    """One word is said of it."""
    with pytest.raises(TokenFault, match="no_token"):
        access_token.read(answer)


@given(answer=st.binary(max_size=80))
def test_any_answer_is_a_token_or_none(answer):
    """Nothing else is raised."""
    with pytest.raises(TokenFault):
        access_token.read(answer)


@pytest.mark.parametrize("protocol", [Protocol.GEMINI, Protocol.VERTEX_ANTHROPIC])
def test_an_account_is_a_key_of_google(protocol):
    """Where its tokens are got must be on the deployment's list."""
    admission.key(fake.file(), protocol, [fake.TOKEN_URI])
    for key, uris in (
        (fake.file(), []),
        (fake.file("https://evil.example/token"), [fake.TOKEN_URI]),
        (fake.file("https://oauth2.googleapis.com/token/x"), [fake.TOKEN_URI]),
        (fake.file(private_key=fake.pem(fake.private_key(1024))), [fake.TOKEN_URI]),
        (fake.file(note="x" * 9_000), [fake.TOKEN_URI]),
        (fake.file()[:-1] + ', "n": "' + "\u6f22" * 2_500 + '"}', [fake.TOKEN_URI]),
        ('{"type": "service_account"}', [fake.TOKEN_URI]),
    ):
        with pytest.raises(InvalidField) as refused:
            admission.key(key, protocol, uris)
        assert "evil" not in str(refused.value)


@pytest.mark.parametrize("protocol", [Protocol.OPENAI_CHAT, Protocol.BEDROCK_INVOKE])
def test_an_account_is_no_key_of_others(protocol):
    """They would be sent the file."""
    with pytest.raises(InvalidField):
        admission.key(fake.file(), protocol, [fake.TOKEN_URI])
