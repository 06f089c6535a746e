"""What an operator may set. Each field is documented in deploy/config/audit.toml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tollgate_kit.config import KeyringConfig, MetricsConfig, PostgresConfig, RpcConfig
from tollgate_tlog.note import NoteError, VerifierKey


@dataclass(frozen=True)
class LogConfig:
    """The log and where it is published."""

    origin: str
    directory: Path
    verifier_key_path: Path
    publish_interval_ms: int = 1000
    unpublished_entries_max: int = 1_000_000
    queue_entries_max: int = 16_384

    def __post_init__(self) -> None:
        try:
            VerifierKey(self.origin, bytes(32))
        except NoteError as error:
            raise ValueError(f"origin: {error}") from None
        if not 50 <= self.publish_interval_ms <= 60_000:  # noqa: PLR2004 - said in the message
            raise ValueError("publish_interval_ms must be 50 to 60000")
        if self.unpublished_entries_max < 1:
            raise ValueError("unpublished_entries_max must be positive")
        if self.queue_entries_max < 256:  # noqa: PLR2004 - said in the message
            raise ValueError("queue_entries_max must be at least 256, one full Append")


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
