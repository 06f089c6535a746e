"""What a caller may write in each field of a request. A field that fails is named, never echoed."""

import re
from collections.abc import Iterable
from typing import Final

from google.protobuf import timestamp_pb2

from tollgate_authz.keys import policy
from tollgate_authz.tenants.directory import UnixMs
from tollgate_kit import virtual_key
from tollgate_kit.rpc.failure import invalid_field

NAME_CHARS_MAX: Final = 100
REASON_CHARS_MAX: Final = 200
MODELS_MAX: Final = 200
BLOCKS_MAX: Final = 200
MODEL_ASKED_CHARS_MAX: Final = 256
# Far above any real limit, and far below where a rate limiter's arithmetic would end.
PER_MINUTE_MAX: Final = 1_000_000_000_000

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_MODEL: Final = re.compile(r"[A-Za-z0-9@._:/+-]{1,128}")
_YEAR_10000_UNIX_S: Final = 253_402_300_800


def identifier(field: str, text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise invalid_field(field, "1 to 64 letters, digits, or . _ : -")
    return text


def name(field: str, text: str) -> str:
    if not text or len(text) > NAME_CHARS_MAX or not text.isprintable() or text != text.strip():
        raise invalid_field(
            field, f"1 to {NAME_CHARS_MAX} printable characters, no space at either end"
        )
    return text


def reason(field: str, text: str) -> str:
    if len(text) > REASON_CHARS_MAX or not text.isprintable():
        raise invalid_field(field, f"at most {REASON_CHARS_MAX} printable characters")
    return text


def environment(field: str, text: str) -> str:
    if text not in virtual_key.ENVIRONMENTS:
        raise invalid_field(field, f"one of {', '.join(virtual_key.ENVIRONMENTS)}")
    return text


def models(field: str, texts: Iterable[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(texts))
    if len(wanted) > MODELS_MAX:
        raise invalid_field(field, f"at most {MODELS_MAX} models")
    if not all(_MODEL.fullmatch(text) for text in wanted):
        raise invalid_field(field, "a model is 1 to 128 letters, digits, or @ . _ : / + -")
    return wanted


def ip_blocks(field: str, texts: Iterable[str]) -> tuple[str, ...]:
    """CIDR blocks in their one normal form; an address alone is a block of one."""
    wanted = tuple(texts)
    if len(wanted) > BLOCKS_MAX:
        raise invalid_field(field, f"at most {BLOCKS_MAX} blocks")
    try:
        return tuple(dict.fromkeys(str(policy.read_network(text)) for text in wanted))
    except ValueError:
        raise invalid_field(field, "CIDR blocks such as 203.0.113.0/24, no host bits") from None


def address(field: str, text: str) -> policy.Address | None:
    """The client's address; None when the caller does not know it."""
    if not text:
        return None
    try:
        return policy.read_address(text)
    except ValueError:
        raise invalid_field(field, "an IPv4 or IPv6 address") from None


def model_asked(field: str, text: str) -> str:
    """Any text that a client may have sent: it is compared, never kept."""
    if len(text) > MODEL_ASKED_CHARS_MAX:
        raise invalid_field(field, f"at most {MODEL_ASKED_CHARS_MAX} characters")
    return text


def not_a_cap(field: str, value: int, account: str) -> None:
    """What an older caller would have set is refused, never ignored: the key would be uncapped."""
    if value:
        raise invalid_field(field, f"open the account {account} in budget")


def per_minute(field: str, count: int) -> int:
    if not 0 <= count <= PER_MINUTE_MAX:
        raise invalid_field(field, f"0 to {PER_MINUTE_MAX}")
    return count


def future(field: str, timestamp: timestamp_pb2.Timestamp, *, now: UnixMs) -> UnixMs:
    in_range = 0 <= timestamp.seconds < _YEAR_10000_UNIX_S and 0 <= timestamp.nanos < 10**9
    if not in_range or timestamp.ToMilliseconds() <= now:
        raise invalid_field(field, "an instant in the future")
    return UnixMs(timestamp.ToMilliseconds())
