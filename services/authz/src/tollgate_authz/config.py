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
    # Every version that stored keys may be under; new keys go under the highest.
    pepper_versions: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not self.pepper_versions or min(self.pepper_versions) < 1:
            raise ValueError("pepper_versions must hold at least one version, each 1 or more")
        if self.postgres.pool_max < _POOL_MIN:
            raise ValueError(f"postgres.pool_max must be {_POOL_MIN} or more")


def pepper_name(version: int) -> str:
    """The keyring's name of a pepper: "pepper", then "pepper-2", "pepper-3", and so on."""
    return "pepper" if version == 1 else f"pepper-{version}"
