"""Postgres arrays as parameters of a pipe: one string to send, many times cheaper than a list.

Source: PostgreSQL's manual, "Array Input and Output Syntax"; array_send() for binary ones. Pure.
"""

import struct
from collections.abc import Iterable, Sequence

_SPECIAL = str.maketrans({"\\": "\\\\", '"': '\\"'})
_BYTEA = 17  # its type's id, the same on every server
# Dimensions, whether there are nulls, type of the elements; then of the one dimension: its length
# and where it begins.
_HEAD = struct.Struct(">iiIii")
_EMPTY = struct.pack(">iiI", 0, 0, _BYTEA)
_LENGTH = struct.Struct(">i")


def texts(values: Sequence[str]) -> bytes:
    """A text[] as text."""
    if not values:
        return b"{}"
    return ('{"' + '","'.join([v.translate(_SPECIAL) for v in values]) + '"}').encode()


def plain(values: Iterable[object]) -> bytes:
    """An array of numbers, booleans or ids, which need no quotes, as text."""
    return f"{{{','.join(map(str, values))}}}".encode()


def binaries(values: Sequence[bytes]) -> bytes:
    """A bytea[] in the binary format, in which no byte is sent as two."""
    if not values:
        return _EMPTY
    parts = [_HEAD.pack(1, 0, _BYTEA, len(values), 1)]
    for value in values:
        parts += (_LENGTH.pack(len(value)), value)
    return b"".join(parts)
