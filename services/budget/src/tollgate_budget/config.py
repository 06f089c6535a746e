"""The configuration of the budget process. deploy/config/budget.toml documents every field."""

from dataclasses import dataclass, field

from tollgate_kit.config import (
    KeyringConfig,
    MetricsConfig,
    PeerConfig,
    PostgresConfig,
    RpcConfig,
)
from tollgate_kit.secret import Secret


@dataclass(frozen=True)
class RedisConfig:
    """Where rate buckets live. `url_file` holds redis://… or rediss://…, password included."""

    url: Secret


@dataclass(frozen=True)
class LedgerConfig:
    """Bounds of the group commit, and how often the ledger looks at itself."""

    batch_steps_max: int = 128
    queue_steps_max: int = 4096
    pace_ms: int = 2
    sweep_ms: int = 1000
    check_ms: int = 60_000
    standby_required: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.batch_steps_max <= 512:  # noqa: PLR2004 - the bound
            raise ValueError("batch_steps_max must be 1 to 512")
        if self.queue_steps_max < 2 * self.batch_steps_max:
            raise ValueError("queue_steps_max must be at least twice batch_steps_max")
        if not 0 <= self.pace_ms <= 100:  # noqa: PLR2004 - the bound
            raise ValueError("pace_ms must be 0 to 100")
        if self.sweep_ms < 10 or self.check_ms < 10:  # noqa: PLR2004 - the bound
            raise ValueError("sweep_ms and check_ms must be 10 or more")


@dataclass(frozen=True)
class BudgetConfig:
    """budget.toml as a whole."""

    rpc: RpcConfig
    metrics: MetricsConfig
    postgres: PostgresConfig
    redis: RedisConfig
    keyring: KeyringConfig
    audit: PeerConfig
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
