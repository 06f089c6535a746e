"""Answers as people and programs read them: plain tables, and JSON whose amounts stay integers."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from tollgate_cli.money import format_usd

_GAP = "  "


def plain(message: Message) -> dict[str, Any]:
    """A message as JSON values: integers stay integers, times are ISO 8601.

    Every field is there but for those that say nothing any more.

    (protobuf's own JSON makes strings of 64-bit integers.)
    """
    if message.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
        raise TypeError("a Timestamp is a value, not an object")
    fields = (field for field in message.DESCRIPTOR.fields if not field.GetOptions().deprecated)
    return {field.name: _field(message, field) for field in fields}


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type and field.message_type.GetOptions().map_entry:
            return dict(value)
        return [_value(item, field) for item in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: Any) -> Any:
    if field.enum_type is not None:
        return enum_word(field.enum_type.values_by_number[value].name, field.enum_type.name)
    if isinstance(value, Message):
        if value.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
            return instant(value)
        return plain(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def enum_word(name: str, enum: str) -> str:
    """KEY_STATE_ENABLED of KeyState is "enabled"."""
    prefix = "".join(f"_{c}" if c.isupper() else c.upper() for c in enum).lstrip("_") + "_"
    return name.removeprefix(prefix).lower()


def instant(value: Any) -> str:
    """A protobuf Timestamp as ISO 8601 in UTC, whole seconds."""
    moment = dt.datetime.fromtimestamp(value.seconds, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def with_account(owner: Message, account: Message | None) -> dict[str, Any]:
    """A tenant, a group or a key as JSON values, with its account; None if that is not open."""
    return {**plain(owner), "account": account and plain(account)}


def limit(account: Any) -> str:
    """Formats an account's monthly limit for a table; `account` is None if it is not open."""
    if account is None:
        return "not open"
    if account.no_limit:
        return "none of its own"
    return format_usd(account.limit_nano_usd)


def cap(account: Any) -> str:
    """Formats an account's monthly limit for a sentence."""
    if account.no_limit:
        return "with no cap of its own"
    return f"with a cap of {format_usd(account.limit_nano_usd)}"


def spent(account: Any) -> str:
    """Formats what an account has spent this month; `account` is None if it is not open."""
    return "-" if account is None else format_usd(account.posted_nano_usd)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_list(
    items: Sequence[dict[str, Any]],
    row: Callable[[dict[str, Any]], Mapping[str, object]],
    *,
    as_json: bool,
    empty: str,
) -> None:
    """The items as JSON, or as a table with a row for each."""
    if as_json:
        print_json(items)
    else:
        print_table([row(item) for item in items], empty=empty)


def print_table(rows: Sequence[Mapping[str, object]], *, empty: str) -> None:
    """Columns as wide as they need to be; the first row's names are the head."""
    if not rows:
        print(empty)
        return
    names = list(rows[0])
    cells = [[str(row[name]) for name in names] for row in rows]
    table = [[name.upper() for name in names], *cells]
    widths = [max(len(line[column]) for line in table) for column in range(len(names))]
    for line in table:
        padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        print(_GAP.join(padded).rstrip())


def print_fields(fields: Mapping[str, object]) -> None:
    """One field a line."""
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        print(f"{name:<{width}}  {value}")
