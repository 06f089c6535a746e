"""What an operator may set. Each field is documented in deploy/config/audit.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tollgate_kit.config import KeyringConfig, MetricsConfig, PostgresConfig, RpcConfig
from tollgate_tlog.note import NoteError, VerifierKey, parse_key


@dataclass(frozen=True)
class LogConfig:
    """The log and where it is published."""

    origin: str
    directory: Path
    verifier_key_path: Path
    # Verifier keys that signed before the log's key was changed: name+id+key.
    former_keys: tuple[str, ...] = ()
    publish_interval_ms: int = 1000
    unpublished_entries_max: int = 1_000_000
    queue_entries_max: int = 16_384

    def __post_init__(self) -> None:
        try:
            VerifierKey(self.origin, bytes(32))
        except NoteError as error:
            raise ValueError(f"origin: {error}") from None
        try:
            others = [key for key in self.known_formerly() if key.name != self.origin]
        except NoteError as error:
            raise ValueError(f"former_keys: {error}") from None
        if others:
            raise ValueError("former_keys has a key of another origin")
        if not 50 <= self.publish_interval_ms <= 60_000:  # noqa: PLR2004 - said in the message
            raise ValueError("publish_interval_ms must be 50 to 60000")
        if self.unpublished_entries_max < 1:
            raise ValueError("unpublished_entries_max must be positive")
        if self.queue_entries_max < 256:  # noqa: PLR2004 - said in the message
            raise ValueError("queue_entries_max must be at least 256, one full Append")

    def known_formerly(self) -> tuple[VerifierKey, ...]:
        """The former keys. Raises NoteError."""
        return tuple(map(parse_key, self.former_keys))


@dataclass(frozen=True)
class OwnerConfig:
    """Who owns the database: read by `migrate` alone, out of the serving process's reach."""

    dsn_path: Path


@dataclass(frozen=True)
class AuditConfig:
    """The audit process."""

    rpc: RpcConfig
    metrics: MetricsConfig
    postgres: PostgresConfig
    owner: OwnerConfig
    keyring: KeyringConfig
    log: LogConfig

    def __post_init__(self) -> None:
        if self.postgres.pool_max < 4:  # noqa: PLR2004 - said in the message
            raise ValueError("postgres.pool_max must be at least 4: publish, append, reads")
