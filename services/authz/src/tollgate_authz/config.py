"""The settings of an authz process. The sample that explains each is deploy/config/authz.toml."""

from dataclasses import dataclass

from tollgate_kit.config import (
    KeyringConfig,
    MetricsConfig,
    PeerConfig,
    PostgresConfig,
    RpcConfig,
)

# An operator's changes hold connections while audit answers; Check must always find one.
_POOL_MIN = 4


@dataclass(frozen=True)
class AuthzConfig:
    """One TOML file."""

    rpc: RpcConfig
    metrics: MetricsConfig
    postgres: PostgresConfig
    keyring: KeyringConfig
    audit: PeerConfig

    def __post_init__(self) -> None:
        if self.postgres.pool_max < _POOL_MIN:
            raise ValueError(f"postgres.pool_max must be {_POOL_MIN} or more")
