"""Blocks that vouch for thinking, in the one place that a generation's message has for one.

DashScope gives none of its own there; those of others are carried, behind the number of characters
of the thought. Promises that a block never comes back with other words than it vouches for: where a
client put several thoughts together, the number is another.
"""

import re
from typing import Final

from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.parts import Opaque, Origin, Seal

NAME: Final = "reasoning_signature"
_FORM = re.compile(r"(\d{1,9}):(.+)", re.DOTALL)


def written(opaque: Opaque, characters: int) -> str:
    """What stands for the block of a thought of so many characters."""
    return f"{characters}:{carrier.carried(opaque, Origin.ALIBABA)}"


def read(text: str, thought: str) -> Opaque | None:
    """The block that a text stands for beside a thought; None for what is none of ours."""
    found = _FORM.fullmatch(text)
    if found is None or int(found[1]) != len(thought):
        return None
    opaque = carrier.restored(found[2], Origin.ALIBABA, Seal.SIGNATURE)
    return None if opaque.origin is Origin.ALIBABA else opaque
