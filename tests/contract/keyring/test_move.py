"""Rows move between any two keyrings: what was readable stays so, and nothing else becomes it."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.keyring import every
from tests.contract.keyring.every import NAME
from tollgate_kit.keyring.base import DecryptFailed, KeyringAway
from tollgate_kit.keyring.move import ROWS_AT_ONCE, Row, RowsLeft, check, move
from tollgate_kit.keyring.progress import Bar
from tollgate_kit.secret import Secret


class Table:
    """Rows in memory: id -> (context, ciphertext); `ends` after so many were replaced."""

    def __init__(self, *, ends: int | None = None) -> None:
        self.rows: dict[str, tuple[str, str]] = {}
        self.replaced: list[str] = []
        self.ends = ends

    async def count(self) -> int:
        return len(self.rows)

    async def after(self, row_id: str | None, limit: int) -> Sequence[Row]:
        ids = sorted(key for key in self.rows if row_id is None or key > row_id)
        return [Row(key, *self.rows[key]) for key in ids[:limit]]

    async def replace(self, row: Row, encrypted: str) -> bool:
        if self.ends is not None and len(self.replaced) >= self.ends:
            raise KeyringAway("the process ends here")
        if self.rows[row.row_id][1] != row.encrypted:
            return False
        self.rows[row.row_id] = (row.context, encrypted)
        self.replaced.append(row.row_id)
        return True

    async def filled(self, ring, plaintexts):
        for row_id, text in plaintexts.items():
            context = f"c|{row_id}"
            self.rows[row_id] = (context, await ring.encrypt(NAME, context, Secret(text)))
        return self

    async def opened(self, ring):
        return {
            key: (await ring.decrypt(NAME, *row)).reveal_bytes() for key, row in self.rows.items()
        }


class _Off:
    """A keyring that opens to something else than what it encrypted."""

    def __init__(self, ring) -> None:
        self._ring = ring

    async def decrypt(self, name, context, ciphertext):
        await self._ring.decrypt(name, context, ciphertext)
        return Secret("something else")

    async def encrypt(self, name, context, plaintext):
        return await self._ring.encrypt(name, context, plaintext)


def quiet(_done: int, _total: int) -> None:
    pass


@pytest.fixture(params=["vault", "example"])
async def pair(request, vault, tmp_path):
    """A file, and another keyring."""
    (tmp_path / "other").mkdir()
    async with every.opened(request.param, vault, tmp_path / "other") as other:
        yield every.of_file(tmp_path), other


ROWS = st.dictionaries(
    st.text(min_size=1, max_size=12), st.binary(min_size=1, max_size=300), max_size=12
)


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, killed=st.none() | st.integers(0, 12))
async def test_there_and_back_gives_the_same(pair, rows, killed):
    """Any rows, a run that ends anywhere and one more: the same plaintexts there, and back."""
    file, other = pair
    table = await Table(ends=killed).filled(file, rows)
    if killed is not None and killed < len(rows):
        with pytest.raises(KeyringAway):
            await move(table, NAME, former=file, keyring=other, progress=quiet)
    table.ends = None
    await move(table, NAME, former=file, keyring=other, progress=quiet)
    assert rows == await table.opened(other)
    assert sorted(rows) == sorted(table.replaced), "each was moved once"
    assert len(rows) == await move(table, NAME, former=other, keyring=file, progress=quiet)
    assert rows == await table.opened(file)
    assert 0 == await move(table, NAME, former=other, keyring=file, progress=quiet)


async def test_what_changes_meanwhile_is_not_overwritten(pair):
    """A row that is another by the time it would be replaced stays that one, and is named."""
    file, other = pair
    table = await Table().filled(file, {"a": b"1", "b": b"2"})
    newer = await file.encrypt(NAME, "c|a", Secret("newer"))
    read = table.after

    async def racing(row_id, limit):
        found = await read(row_id, limit)
        table.rows["a"] = ("c|a", newer)
        return found

    table.after = racing
    with pytest.raises(RowsLeft, match=r"^upstream-keys: a was changed meanwhile: run this again$"):
        await move(table, NAME, former=file, keyring=other, progress=quiet)
    assert (newer, ["b"]) == (table.rows["a"][1], table.replaced)


async def test_nothing_is_stored_that_does_not_open(pair):
    """The new keyring must open what it made before the old text goes."""
    file, other = pair
    table = await Table().filled(file, {"a": b"1"})
    with pytest.raises(Exception, match="opens to something else"):
        await move(table, NAME, former=file, keyring=_Off(other), progress=quiet)
    assert {"a": b"1"} == await table.opened(file)


async def test_rows_left_are_named_up_to_a_bound_and_no_fault_is_hidden(pair):
    """Twenty ids at most, without a ciphertext; the progress covers every row."""
    file, other = pair
    table = await Table().filled(file, {f"{n:03}": b"x" for n in range(ROWS_AT_ONCE + 30)})
    for key in list(table.rows)[:30]:
        table.rows[key] = ("moved", table.rows[key][1])
    seen = []
    with pytest.raises(RowsLeft) as left:
        await move(table, NAME, former=file, keyring=other, progress=lambda *s: seen.append(s))
    total = ROWS_AT_ONCE + 30
    assert ([(0, total), (ROWS_AT_ONCE, total), (total, total)], ROWS_AT_ONCE) == (
        seen,
        len(table.replaced),
    )
    assert ("019 is opened by neither keyring, and 10 more" in str(left.value), False) == (
        True,
        table.rows["000"][1] in str(left.value),
    )
    with pytest.raises(DecryptFailed):
        await other.decrypt(NAME, *table.rows["000"])


async def test_a_look_names_what_neither_opens_and_changes_nothing(pair):
    """Rows of either keyring are well; one of none is named, and no row is replaced."""
    file, other = pair
    table = await Table().filled(file, {"a": b"1", "b": b"2"})
    table.rows["b"] = ("c|b", await other.encrypt(NAME, "c|b", Secret("2")))
    before = dict(table.rows)
    await check(table, NAME, former=file, keyring=other, progress=quiet)
    table.rows["a"] = before["a"] = ("moved", table.rows["a"][1])
    with pytest.raises(RowsLeft, match=r"^upstream-keys: a is opened by neither keyring$"):
        await check(table, NAME, former=file, keyring=other, progress=quiet)
    assert (before, []) == (table.rows, table.replaced)


def test_the_bar_is_a_line_a_tenth_without_a_terminal_and_one_line_on_one():
    """A log gets at most eleven lines, a terminal one that is written over."""
    plain = io.StringIO()
    bar = Bar("keys", plain)
    for done in range(1001):
        bar(done, 1000)
    lines = plain.getvalue().splitlines()
    assert (11, "keys [" + "#" * 15 + "." * 15 + "] 500/1000") == (len(lines), lines[5])

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    bar = Bar("keys", shown)
    for done in range(3):
        bar(done, 2)
    assert (3, 1, True) == (
        shown.getvalue().count("\r"),
        shown.getvalue().count("\n"),
        shown.getvalue().endswith("] 2/2\n"),
    )
    empty = io.StringIO()
    Bar("keys", empty)(0, 0)
    assert "keys [" + "#" * 30 + "] 0/0\n" == empty.getvalue()
