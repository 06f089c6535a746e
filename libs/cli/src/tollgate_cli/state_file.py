"""Reads a file that the suite wrote earlier, which anything may have happened to since.

Promises: the content, FileNotFoundError, or a Fault that names the file and how to go on; bounded
in bytes; never waits for a pipe that somebody put in its place. Pure of what a file means.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any

from tollgate_cli.fault import Fault

# Far above everything the suite writes.
_BYTES_MAX = 4 * 1024 * 1024


def read_bytes(path: Path, remedy: str) -> bytes:
    """The content. Raises FileNotFoundError (a link that leads nowhere included) or Fault."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Fault(f"{path} is not a file", remedy)
            data = stream.read(_BYTES_MAX + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Fault(f"{path} cannot be read: {error.strerror}", remedy) from error
    if len(data) > _BYTES_MAX:
        raise _altered(path, remedy)
    return data


def read_text(path: Path, remedy: str) -> str:
    """The text. Raises as `read_bytes`."""
    try:
        return read_bytes(path, remedy).decode("utf-8")
    except UnicodeDecodeError:
        raise _altered(path, remedy) from None


def _altered(path: Path, remedy: str) -> Fault:
    return Fault(f"{path} was altered: this suite did not write what it holds", remedy)


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The JSON object. Raises as `read_text`."""
    text = read_text(path, remedy)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Fault(f"{path} was altered: it holds no JSON object", remedy)
    return document


def lines(path: Path) -> list[str]:
    """Return the lines of a file that has one word in each; none where there is no file."""
    return path.read_text("utf-8").split() if path.exists() else []


def discard(path: Path) -> None:
    """Removes what is there, whatever it is. Raises Fault for a directory with something in it."""
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise Fault(
            f"{path} is in the way and cannot be removed: {error.strerror}",
            f"look at it, then: rm -r '{path}'",
        ) from error
