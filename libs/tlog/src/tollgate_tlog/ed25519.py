"""Ed25519 signature verification (RFC 8032) in plain Python.

It exists so that an auditor installs nothing but this package. Promises: agrees with RFC 8032,
strictly (canonical encodings, S below the group order, no key of small order). Never signs, and
handles only public values, so its time may depend on them.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_D2 = 2 * _D % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)
_WINDOW_BITS = 4
_WINDOWS = 64  # 4-bit windows of a 256-bit scalar

# Extended coordinates (X, Y, Z, T): x = X / Z, y = Y / Z, x * y = T / Z.
_Point = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is ``public_key``'s over ``message``."""
    if len(public_key) != 32 or len(signature) != 64:  # noqa: PLR2004 - RFC 8032 sizes
        return False
    table = _negated_key_table(public_key)
    scalar = int.from_bytes(signature[32:], "little")
    if table is None or scalar >= _L:
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    challenge = int.from_bytes(digest, "little") % _L
    point = _multiply(_base_table(), scalar, _NEUTRAL)
    return _encode(_multiply(table, challenge, point)) == signature[:32]


def _add(p: _Point, q: _Point) -> _Point:
    a = (p[1] - p[0]) * (q[1] - q[0]) % _P
    b = (p[1] + p[0]) * (q[1] + q[0]) % _P
    c = p[3] * q[3] * _D2 % _P
    d = 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _is_neutral(p: _Point) -> bool:
    return p[0] % _P == 0 and (p[1] - p[2]) % _P == 0


def _encode(p: _Point) -> bytes:
    inverse = pow(p[2], -1, _P)
    x, y = p[0] * inverse % _P, p[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(data: bytes) -> _Point | None:
    value = int.from_bytes(data, "little")
    sign, y = value >> 255, value & ((1 << 255) - 1)
    if y >= _P:
        return None
    numerator, denominator = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = (
        numerator
        * pow(denominator, 3, _P)
        * pow(numerator * pow(denominator, 7, _P), (_P - 5) // 8, _P)
        % _P
    )
    residue = (denominator * x * x - numerator) % _P
    if residue:
        x = x * _SQRT_M1 % _P
        if (denominator * x * x - numerator) % _P:
            return None
    if x == 0 and sign:
        return None
    if x & 1 != sign:
        x = _P - x
    return (x, y, 1, x * y % _P)


def _table(point: _Point) -> list[list[_Point]]:
    """For each window, the 16 multiples of point * 16**window: one addition a window later on."""
    rows: list[list[_Point]] = []
    for _ in range(_WINDOWS):
        row = [_NEUTRAL]
        for _ in range((1 << _WINDOW_BITS) - 1):
            row.append(_add(row[-1], point))
        rows.append(row)
        point = _add(row[-1], point)
    return rows


def _multiply(table: list[list[_Point]], scalar: int, point: _Point) -> _Point:
    for row in table:
        digit = scalar & 15
        if digit:
            point = _add(point, row[digit])
        scalar >>= _WINDOW_BITS
    return point


@lru_cache(maxsize=1)
def _base_table() -> list[list[_Point]]:
    y = 4 * pow(5, -1, _P) % _P
    base = _decode(y.to_bytes(32, "little"))
    assert base is not None, "the base point is on the curve"
    return _table(base)


@lru_cache(maxsize=8)
def _negated_key_table(public_key: bytes) -> list[list[_Point]] | None:
    point = _decode(public_key)
    if point is None:
        return None
    eightfold = point
    for _ in range(3):
        eightfold = _add(eightfold, eightfold)
    if _is_neutral(eightfold):
        return None
    return _table((_P - point[0], point[1], 1, _P - point[3]))
