"""A service account's file: what is read of it, and what of it nobody may see."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import google
from tollgate_dialects.common.google_account import BadAccountError, parse, secrets_in

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3),
    max_leaves=8,
)


def test_an_account_is_read():
    """Who signs, with what, and where the token is got."""
    account = parse(google.file())
    assert account is not None
    assert (google.EMAIL, google.KEY_ID, google.TOKEN_URI) == (
        account.email, account.key_id, account.token_uri,
    )  # fmt: skip
    assert google.pem(google.private_key()) == account.private_key
    assert "BEGIN" not in repr(account)


@pytest.mark.parametrize("key", ["AIzaSyA-key", "sk-1", ""])
def test_an_api_key_is_none(key):
    """It is sent as it is."""
    assert parse(key) is None
    assert (key,) == secrets_in(key)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "authorized_user"}, {"private_key": "x"}, {"private_key": 7},
        {"private_key": None}, {"client_email": ""}, {"client_email": "a b"},
        {"private_key_id": None}, {"token_uri": 7}, {"token_uri": "https://x/\n"},
    ],
)  # fmt: skip
def test_what_is_no_account_is_refused_in_words_that_repeat_nothing(changes):
    """Nothing of a file stands in a fault."""
    key = google.file(**changes)
    with pytest.raises(BadAccountError) as refused:
        parse(key)
    said = str(refused.value)
    assert not [piece for piece in google.pieces() if piece in said]
    assert not [v for v in changes.values() if isinstance(v, str) and len(v) > 2 and v in said]


@given(document=st.dictionaries(st.text(), JSON))
def test_any_other_json_is_refused(document):
    """With the one fault, whatever it holds."""
    with pytest.raises(BadAccountError):
        parse(json.dumps(document))


@pytest.mark.parametrize("key", ["{", "{]", '{"a":1} x'])
def test_what_begins_like_one_and_is_no_json_is_refused(key):
    """And stays a secret."""
    with pytest.raises(BadAccountError):
        parse(key)
    assert (key,) == secrets_in(key)


def test_each_piece_of_the_private_key_is_a_secret():
    """The file, the key, the key without its lines' ends, and each line of it."""
    secrets = secrets_in(google.file())
    assert google.file() == secrets[0]
    assert {google.pem(google.private_key()), "".join(google.pieces()), *google.pieces()} == set(
        secrets[1:]
    )
    assert min(map(len, secrets)) >= 16
