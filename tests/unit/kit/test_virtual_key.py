"""The format of virtual keys: what is made can be read, what was changed cannot."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_kit import virtual_key
from tollgate_kit.secret import Secret

BASE62 = string.digits + string.ascii_letters
environments = st.sampled_from(virtual_key.ENVIRONMENTS)
public_ids = st.text(BASE62, min_size=12, max_size=12)
secrets = st.text(BASE62, min_size=32, max_size=32)


@given(environments, public_ids, secrets)
def test_round_trip(environment, public_id, secret):
    """Every key that is made is read back as the same three parts."""
    text = virtual_key.make(environment, public_id, Secret(secret)).reveal()
    read = virtual_key.parse(text)
    assert read is not None
    assert (environment, public_id, secret) == (
        read.environment,
        read.public_id,
        read.secret.reveal(),
    )
    assert text.startswith(virtual_key.public_prefix(environment, public_id) + "_")


@given(environments, public_ids, secrets, st.data())
def test_one_changed_character_is_refused(environment, public_id, secret, data):
    """A key with any one character replaced never parses."""
    text = virtual_key.make(environment, public_id, Secret(secret)).reveal()
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda c: c != text[at]))
    assert virtual_key.parse(text[:at] + other + text[at + 1 :]) is None


@given(environments, public_ids, secrets, st.data())
def test_inserted_removed_or_swapped_characters_are_refused(environment, public_id, secret, data):
    """A dropped, doubled or transposed character never parses."""
    text = virtual_key.make(environment, public_id, Secret(secret)).reveal()
    at = data.draw(st.integers(0, len(text) - 2))
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    for changed in (text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:], swapped):
        assert changed == text or virtual_key.parse(changed) is None


@given(st.text(max_size=100))
def test_any_text_gets_an_answer(text):
    """No text raises; text that was not made is refused."""
    assert virtual_key.parse(text) is None


@pytest.mark.parametrize("around", [" {}", "{} ", "{}\n", "\n{}", "Bearer {}", "{}\x00"])
def test_surroundings_are_refused(around):
    """White space and other text around a good key is not forgiven here."""
    text = virtual_key.make("live", "A" * 12, Secret("b" * 32)).reveal()
    assert virtual_key.parse(around.format(text)) is None


def test_known_text():
    """The format is fixed: this key, written down once, is read by every later version."""
    text = virtual_key.make(
        "live", "AbCdEfGh1234", Secret("0123456789abcdefghijklmnopqrstuv")
    ).reveal()
    assert text == "sk-xa-live-AbCdEfGh1234_0123456789abcdefghijklmnopqrstuv_4PAoRY"


@pytest.mark.parametrize(
    ("environment", "public_id", "secret"),
    [
        ("prod", "A" * 12, "b" * 32),
        ("live", "A" * 11, "b" * 32),
        ("live", "A" * 12, "b" * 33),
        ("live", "A" * 11 + "_", "b" * 32),
        ("live", "A" * 12, "b" * 31 + "ä"),
    ],
)
def test_unreadable_parts_are_not_made(environment, public_id, secret):
    """Parts that could not be read back are a bug of the caller, told at once."""
    with pytest.raises(ValueError, match="key"):
        virtual_key.make(environment, public_id, Secret(secret))
