"""Files that only their owner may read, written whole or not at all."""

import os
import secrets
import tempfile
from pathlib import Path


def write_private(path: Path, content: str | bytes) -> None:
    """Writes a 0600 file by rename: a reader sees the old content or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def kept_secret(path: Path, *, mode: int = 0o600) -> str:
    """The secret in a file; made at random when there is none yet."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
        path.chmod(mode)
    return path.read_text(encoding="utf-8").strip()
