"""The configuration of `edge api`. Every field is documented in deploy/config/edge-api.toml."""

from dataclasses import dataclass, field

from tollgate_edge.headers import client_address
from tollgate_edge.headers.cross_origin import CrossOrigin
from tollgate_edge.limits.fair_shares import Shares
from tollgate_kit.config import MetricsConfig, PeerConfig, TlsConfig, check_listen

# What the lifecycle gives one stop hook (tollgate_kit.lifecycle), less a margin.
STOP_SECONDS_MAX = 25
_PERCENT = 100
# A price or a model that router has dropped is not offered for longer than this.
POLL_MS_MAX = 2000


def _check_stop(seconds: int) -> None:
    if not 0 <= seconds <= STOP_SECONDS_MAX:
        raise ValueError(f"stop_seconds must be between 0 and {STOP_SECONDS_MAX}")


@dataclass(frozen=True)
class ListenConfig:
    """The public listener."""

    listen: str
    header_seconds: int = 10
    keep_alive_seconds: int = 75
    write_seconds: int = 60
    header_bytes_max: int = 65_536
    stop_seconds: int = 10

    def __post_init__(self) -> None:
        check_listen(self.listen)
        _check_stop(self.stop_seconds)


@dataclass(frozen=True)
class LimitsConfig:
    """Bounds on what clients may ask, and on how long a call may take."""

    body_bytes_max: int = 32 * 1024 * 1024
    body_seconds: int = 30
    # After the grace, a body must have come at this pace.
    body_grace_seconds: int = 5
    body_bytes_per_second_min: int = 8000
    # Bodies in memory at once.
    bodies_bytes_max: int = 1024 * 1024 * 1024
    answer_bytes_max: int = 64 * 1024 * 1024
    connections_max: int = 16_000
    calls_max: int = 2000
    # What one key, or one client address, may have of connections, calls and bytes.
    key_share_percent: int = 25
    tenant_share_percent: int = 50
    streams_per_key_max: int = 200
    execute_seconds: int = 600
    drain_seconds: int = 60
    beat_seconds: int = 15
    trusted_proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        client_address.networks(self.trusted_proxies)
        for name, value in vars(self).items():
            if isinstance(value, int) and value <= 0:
                raise ValueError(f"{name} must be positive")
        if not self.key_share_percent <= self.tenant_share_percent <= _PERCENT:
            raise ValueError("a key's share must be at most its tenant's, and that at most 100")
        if self.bodies_bytes_max < self.body_bytes_max:
            raise ValueError("bodies_bytes_max must be at least body_bytes_max")

    def shares(self, total: int, *, of: int | None = None, least: int = 1) -> Shares:
        """Shares of a total for keys and their tenants, worked out from `of` where that is less.

        `least` is what a holder can always have while there is any.
        """
        base = total if of is None else min(total, of)
        percents = (self.key_share_percent, self.tenant_share_percent)
        return Shares(total, *(max(least, base * percent // _PERCENT) for percent in percents))

    def streams(self) -> Shares:
        """Streams are bounded by key; their sum is bounded as calls are."""
        return Shares(self.calls_max, self.streams_per_key_max)

    @property
    def reservation_seconds(self) -> int:
        """How long budget waits for a settlement before it quarantines: longer than any call."""
        return self.execute_seconds + self.drain_seconds + 60


@dataclass(frozen=True)
class CrossOriginConfig:
    """Which web pages may call from a browser."""

    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        CrossOrigin(self.origins)


@dataclass(frozen=True)
class CacheConfig:
    """The cache of allow-decisions."""

    entries_max: int = 100_000


@dataclass(frozen=True)
class CatalogueConfig:
    """The polling of router's model list."""

    poll_ms: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.poll_ms <= POLL_MS_MAX:
            raise ValueError(f"poll_ms must be between 1 and {POLL_MS_MAX}")


@dataclass(frozen=True)
class EvidenceConfig:
    """How long a byte waits for its entry, and how many denials may wait to be recorded."""

    durable_ms: int = 5000
    # With an entry that has waited this long, no further call is let through to an upstream.
    lag_ms: int = 2000
    denials_max: int = 1024


@dataclass(frozen=True)
class SettleConfig:
    """How long settlements are retried before their reservations are left to the quarantine."""

    keep_seconds: int = 300
    stop_seconds: int = 5

    def __post_init__(self) -> None:
        _check_stop(self.stop_seconds)


@dataclass(frozen=True)
class EdgeApiConfig:
    """edge-api.toml as a whole."""

    tls: TlsConfig
    api: ListenConfig
    metrics: MetricsConfig
    authz: PeerConfig
    budget: PeerConfig
    router: PeerConfig
    audit: PeerConfig
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    cross_origin: CrossOriginConfig = field(default_factory=CrossOriginConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    catalogue: CatalogueConfig = field(default_factory=CatalogueConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    settle: SettleConfig = field(default_factory=SettleConfig)
