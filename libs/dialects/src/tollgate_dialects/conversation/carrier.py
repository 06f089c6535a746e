"""Opaque blocks on their way through a protocol that has no place for them.

A block is carried as one text in the place that the protocol has for its own blocks (a signature,
an `encrypted_content`): `tg1:` origin `:` seal `:` item id `:` data. None of the first three has a
colon, for the id is percent-encoded; the data is as its maker wrote it. A vendor's own blocks never
begin like that.
"""

from typing import Final
from urllib.parse import quote, unquote

from tollgate_dialects.conversation.parts import Opaque, Origin, Seal

_MARK: Final = "tg1"
# How the text of every carried block begins.
CARRIED: Final = f"{_MARK}:"
# What stands in the place of a seal beside thinking that has none.
UNSEALED: Final = Opaque(Origin.NOBODY, Seal.SIGNATURE, "")


def carried(opaque: Opaque, own: Origin, item_id: str = "") -> str:
    """The text that stands for a block where `own` blocks stand as they are.

    `item_id`: the name under which it stands there; an own block that its maker named otherwise is
    carried as well, with its name.
    """
    if opaque.origin is own and opaque.item_id in ("", item_id or opaque.item_id):
        return opaque.data
    named = quote(opaque.item_id, safe="")
    return f"{_MARK}:{opaque.origin}:{opaque.seal}:{named}:{opaque.data}"


def restored(text: str, own: Origin, seal: Seal, item_id: str = "") -> Opaque:
    """The block that a text stands for: one that was carried, or an `own` block with its `seal`."""
    pieces = text.split(":", 4)
    if len(pieces) == 5 and pieces[0] == _MARK:  # noqa: PLR2004 - the form above
        try:
            return Opaque(Origin(pieces[1]), Seal(pieces[2]), pieces[4], unquote(pieces[3]))
        except ValueError:
            pass
    return Opaque(own, seal, text, item_id)
