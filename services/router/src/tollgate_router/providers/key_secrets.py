"""What of an upstream key nobody may see, and whether an answer has it.

Promises that a secret is found however JSON writes it, in the forms that vendors write keys in, and
in pieces where a reader joins them. One that is too short to be a key is not sought.
"""

import re
from collections.abc import Iterable
from typing import Final

from tollgate_dialects.answer.rules import words_of
from tollgate_dialects.common import scrub
from tollgate_kit.secret import Secret

SOUGHT_BYTES_MIN: Final = 16
# Escapes of ASCII, of which every key is made.
_ESCAPE = re.compile(rb"\\(?:u00([0-7][0-9a-fA-F])|([/\"\\]))")
_ESCAPED_BY_A_BACKSLASH = frozenset(b'/"\\')
# Members with a model's words, in every protocol and in the parts of what some send in parts.
_TEXTS: Final = words_of(
    "content|text|delta|reasoning|reasoning_content|reasoning_text|thinking|refusal|arguments"
    "|partial_json|input|code|transcript|data"
)


class KeySecrets:
    """The secrets of one key; shows none of them but to whoever scrubs."""

    __slots__ = ("_can_hide", "_secrets", "_sought", "tail_bytes")

    def __init__(self, secrets: Iterable[str]) -> None:
        texts = tuple(dict.fromkeys(secrets))
        self._secrets = tuple(map(Secret, texts))
        plain = [text for text in texts if len(text) >= SOUGHT_BYTES_MIN]
        forms = {form.encode() for text in plain for form in scrub.forms(text)}
        # One that has another in it is found by that.
        self._sought = tuple(
            form for form in forms if not any(o in form for o in forms if o is not form)
        )
        self._can_hide = not all(map(_ESCAPED_BY_A_BACKSLASH.isdisjoint, self._sought))
        lengths = (len(text) for text in plain if text.encode() in self._sought)
        # How much of what was told may be the beginning of a secret as it is.
        self.tail_bytes = max(lengths, default=1) - 1

    def revealed(self) -> list[str]:
        """The secrets as texts, for what scrubs them."""
        return [secret.reveal() for secret in self._secrets]

    def are_in(self, data: bytes) -> bool:
        """Whether one of them is in an answer's bytes."""
        for secret in self._sought:  # a generator costs as much as what it would ask
            if secret in data:
                return True
        # A client reads it as well where JSON writes it in escapes. Most chunks have a backslash, a
        # line's end is written with one: only those that can hide a key are rewritten, and once.
        if b"\\u00" not in data and not (self._can_hide and b"\\" in data):
            return False
        plain = _plain(data)
        return any(secret in plain for secret in self._sought)


class Told:
    """What one client is told of an answer: its bytes, and its texts as a reader joins them."""

    def __init__(self, secrets: KeySecrets) -> None:
        self._secrets = secrets
        self._tail = b""

    def leaks(self, data: bytes) -> bool:
        """Whether these bytes have a secret, or its last piece."""
        return self.joins(data) or self._secrets.are_in(data)

    def joins(self, data: bytes) -> bool:
        """Whether a secret ends in their texts, as a reader joins them with those before."""
        if not data:
            return False
        found = _TEXTS.findall(data)
        texts = self._tail + _plain(b"".join(found))
        size = self._secrets.tail_bytes
        is_one = not self._tail and len(found) <= 1
        self._tail = texts[-size:] if size else b""
        # A single text, the first of all, is joined with nothing.
        return not is_one and self._secrets.are_in(texts)


def _plain(data: bytes) -> bytes:
    return _ESCAPE.sub(_unescaped, data) if b"\\" in data else data


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else found[2]
