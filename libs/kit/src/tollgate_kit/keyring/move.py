"""Moves stored ciphertexts to another keyring, or to a newer version of their key, in place.

Promises: a row is replaced only by what the new keyring has opened to the same plaintext, and only
while it is what was read; one that the new keyring opens already is left alone, so that a run that
was ended in any way is begun again; a row that neither opens stays as it is, and is named, by
`check` before anything is moved.
Plaintexts are in this process's memory alone.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tollgate_kit.keyring.base import DecryptFailed, Keyring, KeyringFault, Versioned

ROWS_AT_ONCE = 64
_NAMED_MAX = 20
_NEITHER = "is opened by neither keyring"
# Rows that somebody else changed meanwhile are looked at again.
_PASSES_MAX = 5
# How many rows were looked at, and of how many.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One ciphertext, and what it is bound to."""

    row_id: str
    context: str
    encrypted: str


class Rows(Protocol):
    """Where a service keeps what one of its keys encrypted."""

    async def count(self) -> int:
        """How many there are."""
        ...

    async def after(self, row_id: str | None, limit: int) -> Sequence[Row]:
        """Those that follow a row in the order of their ids; None: from the first."""
        ...

    async def replace(self, row: Row, encrypted: str) -> bool:
        """Store it durably, if the row is still what was read; else False."""
        ...


class RowsLeft(Exception):  # noqa: N818 - it is what was found
    """Rows that neither keyring opens, or that changed meanwhile; by their ids."""

    def __init__(self, told: str, moved: int | None = None) -> None:
        """`moved`: how many others were moved now, if these are left for being opened by none."""
        super().__init__(told)
        self.moved = moved


async def check(
    rows: Rows, name: str, *, former: Keyring, keyring: Keyring, progress: Progress
) -> None:
    """Open every row with either keyring, and change none. Raises KeyringFault, RowsLeft."""

    async def opened(row: Row) -> int:
        for one in (former, keyring):
            with contextlib.suppress(DecryptFailed):
                await one.decrypt(name, row.context, row.encrypted)
                return 0
        raise RowsLeft(_NEITHER)

    await _each(rows, name, opened, progress)


async def move(
    rows: Rows, name: str, *, former: Keyring, keyring: Keyring, progress: Progress
) -> int:
    """Move every row of one key; how many were moved now. Raises KeyringFault, RowsLeft.

    All rows but those left are moved by then.
    """

    async def moved(row: Row) -> int:
        return int(await _moved(rows, row, name, former, keyring))

    return await _each(rows, name, moved, progress)


async def renew(rows: Rows, name: str, keyring: Versioned, progress: Progress) -> int:
    """Encrypt every row under the key's newest version; how many were not. While rows change.

    Raises KeyringFault, RowsLeft.
    """
    begins, total = await keyring.newest(name), 0
    for _ in range(_PASSES_MAX):
        lost = 0

        async def renewed(row: Row) -> int:
            nonlocal lost
            try:
                encrypted = await keyring.renewed(name, row.context, row.encrypted)
            except DecryptFailed:
                raise RowsLeft("is opened by no version of its key") from None
            # Opened all the same: in a copy of the keyring from before, another key has its number.
            if row.encrypted.startswith(begins):
                return 0
            is_stored = await rows.replace(row, encrypted)
            lost += not is_stored
            return int(is_stored)

        total += await _each(rows, name, renewed, progress)
        if not lost:
            return total
    raise RowsLeft(f"{name}: {lost} rows change again and again: run this again")


async def _each(
    rows: Rows, name: str, visit: Callable[[Row], Awaitable[int]], progress: Progress
) -> int:
    """Visit every row, some at once; the sum. Raises RowsLeft once all were visited."""
    total, seen, found = await rows.count(), 0, 0
    left: list[str] = []
    last: str | None = None
    progress(0, total)
    while batch := await rows.after(last, ROWS_AT_ONCE):
        answers = await asyncio.gather(*map(visit, batch), return_exceptions=True)
        # All of a batch have ended before a fault ends the run: none is stored unseen.
        for row, answer in zip(batch, answers, strict=True):
            if isinstance(answer, RowsLeft):
                left.append(f"{row.row_id} {answer}")
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found += answer
        last, seen = batch[-1].row_id, seen + len(batch)
        progress(seen, max(seen, total))
    if left:
        more = f", and {len(left) - _NAMED_MAX} more" if len(left) > _NAMED_MAX else ""
        told = f"{name}: {', '.join(left[:_NAMED_MAX])}{more}"
        raise RowsLeft(told, found if all(one.endswith(_NEITHER) for one in left) else None)
    return found


async def _moved(rows: Rows, row: Row, name: str, former: Keyring, keyring: Keyring) -> bool:
    """False: it was there already. Raises KeyringFault, RowsLeft."""
    try:
        await keyring.decrypt(name, row.context, row.encrypted)
    except DecryptFailed:
        pass
    else:
        return False
    try:
        plaintext = await former.decrypt(name, row.context, row.encrypted)
    except DecryptFailed:
        raise RowsLeft(_NEITHER) from None
    encrypted = await keyring.encrypt(name, row.context, plaintext)
    if await keyring.decrypt(name, row.context, encrypted) != plaintext:
        raise KeyringFault(f"what was encrypted with {name} opens to something else")
    if not await rows.replace(row, encrypted):
        raise RowsLeft("was changed meanwhile: run this again")
    return True
