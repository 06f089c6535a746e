"""A value that cannot be printed, logged, formatted, pickled or compared in variable time."""

import contextlib
import hmac
from pathlib import Path
from typing import NoReturn


class Secret:
    """Holds a secret text or bytes. Only reveal() and reveal_bytes() show it, on purpose."""

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> str:
        """The secret as text."""
        return self._value.decode()

    def reveal_bytes(self) -> bytes:
        """The secret as bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> NoReturn:
        raise TypeError("a Secret has no hash: it would tell equal secrets apart in a dump")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


class SecretInFile(Secret):
    """A secret that stands in a file, which is read anew each time: rotated without a restart.

    While the file is away, empty or no text, what was read last stands.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        """Raises OSError or UnicodeDecodeError."""
        super().__init__(path.read_text("utf-8").strip())
        self._path = path

    def reveal(self) -> str:
        return self.reveal_bytes().decode()

    def reveal_bytes(self) -> bytes:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            self._value = self._path.read_text("utf-8").strip().encode() or self._value
        return self._value
