"""The mark that a sequenced entry carries in Postgres, under a key that the database never sees.

Pure. Promises: an entry that is read with its mark is the one that was sequenced at that index,
byte for byte; whoever may write to the database, its owner included, cannot make another.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from tollgate_kit.hmac_key import HmacKey

_MAC_BYTES = 16


class Row(NamedTuple):
    """An entry as Postgres has it; no mark: sequenced before there were marks."""

    log_index: int
    leaf: bytes
    mac: bytes | None


class Altered(Exception):  # noqa: N818 - it is what was found
    """An entry is not what was sequenced at its index. Alarm; it is neither signed nor shown."""

    def __init__(self, index: int) -> None:
        super().__init__(f"entry {index} is not what was sequenced")
        self.index = index


class EntryMac:
    """Makes and checks marks."""

    def __init__(self, *secrets: bytes) -> None:
        """Marks under the first secret; what any of them marked holds.

        They are known to this log's audit processes alone, and the same for all of them.
        """
        self._keys = [
            HmacKey(hashlib.sha256(b"tollgate entry mark\n" + secret).digest())
            for secret in secrets
        ]

    def take(self, other: EntryMac) -> None:
        """Go on with the other's secrets."""
        self._keys = other._keys

    def mark(self, index: int, leaf: bytes) -> bytes:
        return _mark(self._keys[0], index, leaf)

    def holds(self, row: Row) -> bool:
        return row.mac is not None and any(
            hmac.compare_digest(_mark(key, row.log_index, row.leaf), row.mac) for key in self._keys
        )


def _mark(key: HmacKey, index: int, leaf: bytes) -> bytes:
    return key.digest(index.to_bytes(8) + leaf)[:_MAC_BYTES]
