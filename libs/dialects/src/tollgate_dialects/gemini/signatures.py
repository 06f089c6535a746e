"""Thought signatures: what stands in a part's `thoughtSignature`.

Google's own are base64, for they are bytes on its wire, and its SDK reads and writes them anew in
the other alphabet. So the blocks of other makers, as `conversation/carrier.py` writes them, stand
there in base64, too.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.parts import Opaque, Origin, Seal
from tollgate_dialects.gemini.spelling import base64_of, both

# Google's word for a call that another maker made: the newer models refuse one without a signature.
FOREIGN_CALL: Final = "skip_thought_signature_validator"
# How a text's signature is called on its way through other protocols: thoughts and calls have
# places of their own there.
OF_TEXT: Final = "text"

# How the base64 of what is carried begins: "tg1:".
_CARRIED: Final = "dGcxO"
_FOREIGN: Final = base64_of(FOREIGN_CALL)
_MEMBERS: Final = both("thoughtSignature")


def read(text: str, *, item_id: str = "") -> Opaque | None:
    """The block that a signature is; None where it is none of anybody's."""
    if not text or base64_of(text) == _FOREIGN:
        return None
    if _is_carried(text):
        try:
            told = base64.b64decode(base64_of(text), validate=True).decode("utf-8", "surrogatepass")
        except (binascii.Error, ValueError):
            told = text
        return carrier.restored(told, Origin.GOOGLE, Seal.SIGNATURE, item_id)
    return Opaque(Origin.GOOGLE, Seal.SIGNATURE, text, item_id)


def written(opaque: Opaque) -> str:
    """What stands for a block in an answer to a client."""
    if opaque.origin is Origin.GOOGLE and _is_base64(opaque.data):
        return opaque.data
    # Google's SDK reads nothing but base64: what is none is carried like the blocks of others.
    own = Origin.ANTHROPIC if opaque.origin is Origin.GOOGLE else Origin.GOOGLE
    told = carrier.carried(opaque, own)
    return base64.b64encode(told.encode("utf-8", "surrogatepass")).decode()


def own(opaque: Opaque | None) -> str:
    """A signature of Google's own; empty for every other block."""
    if opaque is None or opaque.origin is not Origin.GOOGLE or opaque.seal is not Seal.SIGNATURE:
        return ""
    return opaque.data


def has_carried(document: Mapping[str, Any]) -> bool:
    """Whether there are signatures that are not Google's: written by us, or in a call's place."""
    contents = document.get("contents")
    for content in contents if isinstance(contents, list) else ():
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            for name in _MEMBERS & part.keys() if isinstance(part, dict) else ():
                signature = part[name]
                if isinstance(signature, str) and _is_ours(signature):
                    return True
    return False


def _is_base64(text: str) -> bool:
    """Whether a text is what the SDK takes for bytes: of one alphabet, and no bit too many."""
    usual = base64_of(text)
    is_mixed = usual.rstrip("=") != text.rstrip("=") and ("+" in text or "/" in text)
    try:
        return not is_mixed and base64.b64encode(base64.b64decode(usual, validate=True)) == (
            usual.encode()
        )
    except (binascii.Error, ValueError):
        return False


def _is_carried(text: str) -> bool:
    return text.startswith(_CARRIED)


def _is_ours(text: str) -> bool:
    return _is_carried(text) or base64_of(text) == _FOREIGN
