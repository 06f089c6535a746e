"""An upstream's answer that has its own key in it."""

import pytest

from tollgate_kit.secret import Secret
from tollgate_router.attempts import Opened

ID, SECRET, TOKEN = (
    "AKIDEXAMPLE000000",
    "wJalr/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "IQoJb3JpZ2luX2VjEXAMPLE",
)
OPENED = Opened(None, None, None, (Secret(f"{ID}:{SECRET}:{TOKEN}"), Secret(SECRET), Secret(TOKEN)))


@pytest.mark.parametrize(
    ("data", "leaks"),
    [
        (SECRET, True),
        (TOKEN, True),
        (SECRET.replace("/", "\\/"), True),
        ("".join(f"\\u{ord(character):04x}" for character in TOKEN), True),
        (ID, False),
        (SECRET[:-1], False),
        ("\\n\\u00e4", False),
    ],
)
def test_no_piece_of_a_key_passes(data, leaks):
    """Whichever of them it is, and however JSON writes it."""
    assert leaks is OPENED.leaks(b'{"a":"%b"}' % data.encode())


def test_what_is_too_short_for_a_key_is_not_sought():
    """It would be found in answers that have nothing to do with it."""
    assert not Opened(None, None, None, (Secret("short"),)).leaks(b"a short answer")
