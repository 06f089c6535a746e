"""The key of an upstream, as an operator hands it over.

Promises that what router would refuse by the key alone is refused before a provider is made, in
words that repeat nothing of it. Two things only router knows: its list of token addresses, and
whether an account's private key can sign.
"""

import re
import sys
from pathlib import Path

from tollgate_cli.fault import Fault
from tollgate_dialects.common import google_account
from tollgate_dialects.common.google_account import BadAccountError

# The protocols whose keys may be a service account of Google's.
ACCOUNT_PROTOCOLS = ("gemini", "vertex-anthropic")
_SENDABLE = re.compile(r"[\x21-\x7e]{1,4096}")
_ACCOUNT_BYTES_MAX = 8192


def read(key_file: Path | None, protocol: str) -> str:
    """The key in a file or in standard input. Raises Fault."""
    if key_file is None and sys.stdin.isatty():
        print("paste the key, then Ctrl-D:", file=sys.stderr)
    try:
        text = key_file.read_text(encoding="utf-8") if key_file else sys.stdin.read()
    except OSError as error:
        raise Fault(f"cannot read the key in {key_file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Fault("the key is not text", "give one key, and nothing else") from None
    key = text.strip()
    if is_account(key):
        _check_account(key, protocol)
    elif not key or any(character.isspace() for character in key):
        raise Fault("the key is empty or has blanks in it", "give one key, and nothing else")
    elif not _SENDABLE.fullmatch(key):
        raise Fault("the key is not 1 to 4096 visible ASCII characters", "copy it once more")
    return key


def is_account(key: str) -> bool:
    """Whether it is meant as a service account's file."""
    return key.startswith("{")


def _check_account(key: str, protocol: str) -> None:
    if protocol not in ACCOUNT_PROTOCOLS:
        raise Fault(
            f"a service account's file is for {' and '.join(ACCOUNT_PROTOCOLS)}",
            f"give a key of the provider's own; this one speaks {protocol}",
        )
    try:
        google_account.parse(key)
    except BadAccountError as bad:
        raise Fault(
            f"the key is no service account: {bad.why}", "give Google's JSON file as it is"
        ) from None
    if len(key.encode()) > _ACCOUNT_BYTES_MAX:
        raise Fault(f"the key is an account of more than {_ACCOUNT_BYTES_MAX} bytes")
