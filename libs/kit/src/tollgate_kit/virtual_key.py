"""The text of a virtual key: `sk-xa-{environment}-{public id}_{secret}_{checksum}`, all base62.

Owns the format and its checksum, so that the edge can refuse a mistyped key without asking anybody.
Promises: `parse` looks at the text once and answers a value, never an exception; a key that differs
from a made one in a single character is refused here. Never says that a key is *valid*: only authz,
which holds the pepper, can.
"""

import re
import zlib
from dataclasses import dataclass
from typing import Final

from tollgate_kit.ids import BASE62
from tollgate_kit.secret import Secret

ENVIRONMENTS: Final = ("live", "test", "dev")
PUBLIC_ID_LENGTH: Final = 12  # 71 bits: ids do not collide and are not worth guessing
SECRET_LENGTH: Final = 32  # 190 bits
CHECKSUM_LENGTH: Final = 6  # 62**6 > 2**32: every CRC32 fits
TEXT_LENGTH_MAX: Final = len("sk-xa-live-") + PUBLIC_ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH + 2

_PUBLIC_ID: Final = re.compile(rf"[0-9A-Za-z]{{{PUBLIC_ID_LENGTH}}}")
_SECRET: Final = re.compile(rf"[0-9A-Za-z]{{{SECRET_LENGTH}}}")
_TEXT: Final = re.compile(
    rf"(?P<covered>sk-xa-(?P<environment>{'|'.join(ENVIRONMENTS)})"
    rf"-(?P<public_id>{_PUBLIC_ID.pattern})_(?P<secret>{_SECRET.pattern}))"
    rf"_(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """The parts of a well-formed key. Well-formed is not valid."""

    environment: str
    public_id: str
    secret: Secret


def parse(text: str) -> VirtualKey | None:
    """The parts of `text`, or None when its shape or its checksum is wrong."""
    if len(text) > TEXT_LENGTH_MAX:
        return None
    found = _TEXT.fullmatch(text)
    if found is None or _checksum(found["covered"]) != found["checksum"]:
        return None
    return VirtualKey(
        environment=found["environment"],
        public_id=found["public_id"],
        secret=Secret(found["secret"]),
    )


def make(environment: str, public_id: str, secret: Secret) -> Secret:
    """The full text of a key. Raises ValueError for parts that `parse` would not give back."""
    if environment not in ENVIRONMENTS:
        raise ValueError("unknown key environment")
    if not _PUBLIC_ID.fullmatch(public_id) or not _SECRET.fullmatch(secret.reveal()):
        raise ValueError("a part of the key has the wrong length or alphabet")
    covered = f"{public_prefix(environment, public_id)}_{secret.reveal()}"
    return Secret(f"{covered}_{_checksum(covered)}")


def public_prefix(environment: str, public_id: str) -> str:
    """What may be shown of a key after its first answer."""
    return f"sk-xa-{environment}-{public_id}"


def _checksum(covered: str) -> str:
    """CRC32 of the text before the last underscore, as exactly six base62 digits."""
    rest = zlib.crc32(covered.encode("ascii"))
    digits = []
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
