"""Files that only their owner may read, written whole or not at all."""

import os
import re
import secrets
import tempfile
from pathlib import Path

from tollgate_cli import state_file
from tollgate_cli.fault import Fault
from tollgate_kit.keyring.private_file import settle

# At least: older homes have secrets of 24 random bytes.
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")


def write_private(path: Path, content: str | bytes) -> None:
    """Writes a 0600 file by rename, durably: a reader sees the old content or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
        settle(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def before(path: Path) -> Path:
    """Return the path of the copy of a secret that is kept while it is changed."""
    return path.with_suffix(".before")


def write_new(path: Path, content: str) -> None:
    """As write_private(), but of several at once one succeeds. Raises FileExistsError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_private(fresh, content)
        os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def kept_secret(path: Path, *, mode: int = 0o600) -> str:
    """The secret in a file; made at random when there is none yet. Raises Fault if it is spoilt."""
    # A link that leads nowhere is not "none yet": what it led to may hold the true one.
    if not os.path.lexists(path):
        write_private(path, secrets.token_urlsafe(32))
        path.chmod(mode)
    return secret(path)


def secret(path: Path) -> str:
    """The secret in a file that must be there. Raises Fault."""
    remedy = f"put it back from a copy; without one, begin anew: {begin_anew(path.parent.parent)}"
    try:
        found = state_file.read_text(path, remedy).strip()
    except FileNotFoundError:
        raise Fault(f"{path} is missing", remedy) from None
    if _SECRET.fullmatch(found) is None:
        raise Fault(f"{path} was altered: it holds no secret of this suite", remedy)
    return found


def begin_anew(home: Path) -> str:
    """The command that sets a spoilt home aside, nothing deleted."""
    return f"mv '{home}' '{home}.spoilt'"
