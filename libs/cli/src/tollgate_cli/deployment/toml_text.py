"""Writes TOML: just what a configuration file of this suite needs. Pure."""

import json
import re
from collections.abc import Mapping, Sequence

Value = str | int | bool | Sequence[str] | Sequence[int] | Mapping[str, "Value"]
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def render(document: Mapping[str, Value]) -> str:
    """The text of a document: scalars of a table first, then its sub-tables."""
    return "\n".join(_table(document, ())) + "\n"


def _table(table: Mapping[str, Value], path: tuple[str, ...]) -> list[str]:
    lines = [
        f"{_key(name)} = {_scalar(value)}"
        for name, value in table.items()
        if not isinstance(value, Mapping)
    ]
    if path and (lines or not table):
        lines.insert(0, f"[{'.'.join(map(_key, path))}]")
    for name, value in table.items():
        if isinstance(value, Mapping):
            inner = _table(value, (*path, name))
            lines += ["", *inner] if lines else inner
    return lines


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return _string(value)
    items = (str(item) if isinstance(item, int) else _string(item) for item in value)
    return f"[{', '.join(items)}]"


def _string(text: str) -> str:
    # JSON's string syntax is TOML's basic string, but for DEL, which JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
