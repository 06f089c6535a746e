"""Reads what stands in a file that nobody else can read."""

from pathlib import Path

from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.secret import Secret


def read_private(path: Path) -> Secret:
    """The file's content without white space around it. Raises KeyringFault, which names it."""
    try:
        if path.stat().st_mode & 0o077:
            raise KeyringFault(f"{path} can be read by others: chmod 0400")
        return Secret(path.read_bytes().strip())
    except OSError as error:
        raise KeyringFault(f"{path}: {type(error).__name__}") from None
