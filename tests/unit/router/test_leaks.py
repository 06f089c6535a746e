"""An upstream's answer that has its own key in it."""

import base64
import itertools
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_router.providers.key_secrets import KeySecrets, Told

ID, SECRET, TOKEN = (
    "AKIDEXAMPLE000000",
    "wJalr/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "IQoJb3JpZ2luX2VjEXAMPLE",
)
SECRETS = KeySecrets((f"{ID}:{SECRET}:{TOKEN}", SECRET, TOKEN))


@pytest.mark.parametrize(
    ("data", "leaks"),
    [
        (SECRET, True),
        (TOKEN, True),
        (SECRET.replace("/", "\\/"), True),
        ("".join(f"\\u{ord(character):04x}" for character in TOKEN), True),
        (base64.b64encode(TOKEN.encode()).decode(), True),
        (quote(SECRET, safe=""), True),
        (ID, False),
        (SECRET[:-1], False),
        ("\\n\\u00e4", False),
    ],
)
def test_no_piece_of_a_key_passes(data, leaks):
    """Whichever of them it is, and however JSON writes it."""
    assert leaks is SECRETS.are_in(b'{"a":"%b"}' % data.encode())


def test_what_is_too_short_for_a_key_is_not_sought():
    """It would be found in answers that have nothing to do with it."""
    assert not KeySecrets(("short",)).are_in(b"a short answer")


@given(cuts=st.lists(st.integers(1, len(SECRET) - 1), unique=True), escaped=st.booleans())
def test_a_key_in_pieces_is_found_with_its_last_one(cuts, escaped):
    """However many deltas or parts it came in, and not before it is whole."""
    told = Told(SECRETS)
    cuts = [0, *sorted(cuts), len(SECRET)]
    for begin, end in itertools.pairwise(cuts):
        piece = SECRET[begin:end]
        text = "".join(f"\\u{ord(c):04x}" for c in piece) if escaped else json.dumps(piece)[1:-1]
        frame = b'data: {"delta":{"content":"%b"}}\n\n' % text.encode()
        assert told.leaks(frame) is (end == len(SECRET))
