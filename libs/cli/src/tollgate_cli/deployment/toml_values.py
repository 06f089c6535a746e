"""Sets values in a TOML file that people wrote; leaves their comments and settings alone. Pure."""

import re
import tomllib
from collections.abc import Iterator, Mapping

from tollgate_cli.deployment import toml_text
from tollgate_cli.deployment.toml_text import Value

_TABLE = re.compile(r"\[([\w.-]+)\]")
_KEY = re.compile(r'("[^"]*"|[\w-]+)\s*=')
Table = Mapping[str, Value]


def with_values(document: Table, text: str, *, owned: frozenset[str] = frozenset()) -> str:
    """The text with the document's values. Of an owned table every other key is taken away.

    Raises ValueError for a table that the text does not have: a person has to explain it.
    """
    wanted = dict(_tables(document, ""))
    written: list[str] = []
    for name, lines in _sections(text):
        values = wanted.pop(name, {})
        written += _section(lines, values, drop_others=name in owned)
    if wanted:
        raise ValueError(f"it lacks [{'], ['.join(wanted)}]: add that, with a comment")
    return "\n".join(written) + "\n"


def _tables(table: Table, at: str) -> Iterator[tuple[str, Table]]:
    values = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    if values:
        yield at, values
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _tables(value, f"{at}.{name}" if at else name)


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in text.splitlines():
        header = _TABLE.fullmatch(line.strip())
        if header:
            yield name, lines
            name, lines = header[1], []
        lines.append(line)
    yield name, lines


def _section(lines: list[str], values: Table, *, drop_others: bool) -> list[str]:
    left, written, last_key = dict(values), [], 0
    rest = iter(lines)
    for line in rest:
        key = _KEY.match(line)
        if key is None:
            written.append(line)
            continue
        setting = _whole(line, rest)
        name = key[1].strip('"')
        if name in left:
            setting = [_setting(name, left.pop(name))]
        elif drop_others:
            setting = []
        written += setting
        last_key = len(written)
    added = [_setting(name, value) for name, value in left.items()]
    at = last_key or len(written)
    return [*written[:at], *added, *written[at:]]


def _whole(line: str, rest: Iterator[str]) -> list[str]:
    """A setting of one line or of several: those up to the first that complete it."""
    taken = [line]
    while True:
        try:
            tomllib.loads("\n".join(taken))
        except tomllib.TOMLDecodeError:
            following = next(rest, None)
            if following is None:
                raise
            taken.append(following)
        else:
            return taken


def _setting(name: str, value: Value) -> str:
    return toml_text.render({name: value}).rstrip("\n")
