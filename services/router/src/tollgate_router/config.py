"""The configuration of router. deploy/config/router.toml explains every field."""

from dataclasses import dataclass, field

from tollgate_kit.config import (
    KeyringConfig,
    MetricsConfig,
    PeerConfig,
    PostgresConfig,
    RpcConfig,
)
from tollgate_router.providers import base_url
from tollgate_router.routing.routing import CooldownRules
from tollgate_router.upstream.upstream import UpstreamConfig

DRAIN_SECONDS_MAX = 300


@dataclass(frozen=True)
class ExecuteConfig:
    """How calls are carried out."""

    drain_seconds: int = 10
    reservations_remembered_max: int = 1_000_000
    log_calls: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.drain_seconds <= DRAIN_SECONDS_MAX:
            raise ValueError("drain_seconds must be between 0 and 300: a stop waits for it")
        if self.reservations_remembered_max <= 0:
            raise ValueError("reservations_remembered_max must be positive")


@dataclass(frozen=True)
class CatalogueConfig:
    """Which providers and prices are allowed in."""

    allow_private_upstreams: bool = False
    demo_prices: bool = False
    # Where the keys of service accounts may be exchanged for access tokens.
    token_uris: tuple[str, ...] = ("https://oauth2.googleapis.com/token",)

    def __post_init__(self) -> None:
        for uri in self.token_uris:
            try:
                base_url.parse(uri, allow_private=self.allow_private_upstreams)
            except base_url.BadBaseUrl as bad:
                raise ValueError(f"token_uris has an address that is {bad.why}") from None


@dataclass(frozen=True)
class Config:
    """router.toml as a whole."""

    rpc: RpcConfig
    metrics: MetricsConfig
    postgres: PostgresConfig
    keyring: KeyringConfig
    audit: PeerConfig
    upstream: UpstreamConfig = field(default_factory=UpstreamConfig)
    cooldown: CooldownRules = field(default_factory=CooldownRules)
    execute: ExecuteConfig = field(default_factory=ExecuteConfig)
    catalogue: CatalogueConfig = field(default_factory=CatalogueConfig)
