"""Reads what stands in a file that nobody else can read, and has one stay that was put there."""

import os
import stat
from pathlib import Path

from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.secret import Secret

# Far above every secret.
_BYTES_MAX = 64 * 1024


def read_private(path: Path) -> Secret:
    """The file's content without white space around it. Raises KeyringFault, which names it.

    Bounded in bytes; never waits for a pipe that somebody put in its place.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise KeyringFault(f"{path} is not a file")
            if mode & 0o077:
                raise KeyringFault(f"{path} can be read by others: chmod 0400")
            data = stream.read(_BYTES_MAX + 1)
    except OSError as error:
        raise KeyringFault(f"{path}: {type(error).__name__}") from None
    if len(data) > _BYTES_MAX:
        raise KeyringFault(f"{path} is longer than a secret")
    return Secret(data.strip())


def settle(directory: Path) -> None:
    """Have what was renamed in a directory outlive a loss of power."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
