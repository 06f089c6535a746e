"""Ids of changes: a change is carried out once under its id, however often it is asked for."""

import hashlib

from tollgate_kit.clock import SystemClock
from tollgate_kit.ids import Ids


def new_request_id() -> str:
    """The id of a change that is not derived from what it changes."""
    return Ids(SystemClock()).uuid7()


def derived_request_id(*parts: str) -> str:
    """The same id for the same words, in the form of a UUID: the same command is one change."""
    digest = bytearray(hashlib.sha256("\x1f".join(parts).encode()).digest()[:16])
    digest[6] = 0x80 | digest[6] & 0x0F  # version 8 (RFC 9562 5.8): made from content
    digest[8] = 0x80 | digest[8] & 0x3F
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
