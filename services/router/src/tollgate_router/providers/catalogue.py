"""The catalogue: providers, their keys and models, and prices, as one immutable snapshot.

Owns which candidates serve a model on a protocol, and which price a version names. Promises that
a route exists only for a priced model of an enabled provider with a key and an allowed address.
Holds encrypted keys only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.registry import UPSTREAM_DIALECTS
from tollgate_dialects.tokens import calibration as calibrations
from tollgate_dialects.tokens.calibration import Calibration
from tollgate_dialects.upstreams import Upstream
from tollgate_router.providers import base_url

# Keys that the operator owns and every tenant's calls may use.
SHARED_TENANT = "shared"


@dataclass(frozen=True, slots=True)
class ProviderModel:
    """A model that a provider serves: the clients' name and the upstream's."""

    model: str
    upstream_model: str


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """An encrypted key. It decrypts only for this tenant, this id and the provider's origin."""

    key_id: str
    tenant: str
    encrypted: str


@dataclass(frozen=True, slots=True)
class Provider:
    """An upstream, as stored."""

    name: str
    protocol: Protocol
    base_url: str
    models: tuple[ProviderModel, ...]
    keys: tuple[ProviderKey, ...]
    enabled: bool
    create_unix_ms: int
    # It refuses stream_options.include_usage.
    without_include_usage: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to carry a call out: a provider, one of its keys, and the name to ask for."""

    provider: str
    protocol: Protocol
    address: base_url.BaseUrl
    key: ProviderKey
    upstream_model: str
    # What the encrypted key is bound to: a key cannot follow a moved address.
    key_context: str
    without_include_usage: bool = False

    @property
    def words(self) -> Protocol:
        """The protocol whose requests it takes as they are."""
        return UPSTREAM_DIALECTS[self.protocol].words

    @property
    def key_id(self) -> str:
        """Non-secret name of the key."""
        return self.key.key_id


_Routes: TypeAlias = Mapping[tuple[Protocol, str], tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model that can be called now."""

    model: str
    protocols: tuple[Protocol, ...]
    price: Price
    create_unix_ms: int
    # What is known of how each of its providers counts input; None: nothing that holds for all.
    calibration: Calibration | None = None
    # Each that may be asked, once.
    upstreams: tuple[Upstream, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The catalogue at one revision, indexed for the hot path."""

    revision: int
    providers: Mapping[str, Provider]
    models: tuple[ListedModel, ...]
    prices: Mapping[tuple[str, int], Price]
    key_ids: frozenset[str]
    # The keys in use, encrypted, by what they are encrypted for.
    key_contexts: Mapping[str, str]
    # By provider and key: one of the ways that there are.
    ways: Mapping[tuple[str, str], Candidate]
    # Names of providers whose address this deployment does not allow.
    barred: tuple[str, ...]
    _listed: Mapping[str, ListedModel] = field(repr=False)
    # By the client's protocol: those who speak it, and all with those first.
    _routes: _Routes = field(repr=False)
    _all_routes: _Routes = field(repr=False)
    # Where the second has more than the first.
    _translated: frozenset[tuple[Protocol, str]] = field(repr=False)

    def candidates(
        self, protocol: Protocol, model: str, *, translated: bool
    ) -> tuple[Candidate, ...]:
        """Who serves the model on the protocol, in the order of their registration.

        `translated`: those of other protocols as well, behind them.
        """
        routes = self._all_routes if translated else self._routes
        return routes.get((protocol, model), ())

    def is_translated(self, protocol: Protocol, model: str) -> bool:
        """Whether somebody serves the model on another protocol."""
        return (protocol, model) in self._translated

    def listed(self, model: str) -> ListedModel | None:
        """What can be called of the model now; None: nothing."""
        return self._listed.get(model)

    def price(self, model: str, version: int) -> Price | None:
        """The price a call was reserved with."""
        return self.prices.get((model, version))


def encryption_context(tenant: str, key_id: str, address: base_url.BaseUrl) -> str:
    """tenant|key id|scheme://host:port."""
    return f"{tenant}|{key_id}|{address.origin}"


def build(
    *,
    revision: int,
    providers: Iterable[Provider],
    prices: Iterable[Price],
    allow_private: bool,
) -> Snapshot:
    """Index what the store holds. Providers and prices come in the order of their creation."""
    by_name = {provider.name: provider for provider in providers}
    by_version = {(price.model, price.version): price for price in prices}
    by_age = sorted(by_version.values(), key=lambda price: price.version)
    newest = {price.model: price for price in by_age}
    routes: dict[tuple[Protocol, str], list[Candidate]] = {}
    of_model: dict[str, list[Candidate]] = {}
    created: dict[str, int] = {}
    barred: list[str] = []
    for provider in by_name.values():
        try:
            address = base_url.parse(provider.base_url, allow_private=allow_private)
        except base_url.BadBaseUrl:
            barred.append(provider.name)
            continue
        for served in provider.models if provider.enabled and provider.keys else ():
            if served.model in newest:
                ways = _ways(provider, address, served)
                routes.setdefault((ways[0].words, served.model), []).extend(ways)
                of_model.setdefault(served.model, []).extend(ways)
                born = created.get(served.model, provider.create_unix_ms)
                created[served.model] = min(born, provider.create_unix_ms)
    listed = {
        model: ListedModel(
            model,
            tuple(protocol for protocol in Protocol if (protocol, model) in routes),
            newest[model],
            created[model],
            _calibration(of_model[model]),
            _upstreams(of_model[model]),
        )
        for model in sorted(created)
    }
    own = {where: tuple(ways) for where, ways in routes.items()}
    everybody = _everybody(own, of_model)
    return Snapshot(
        revision=revision,
        providers=by_name,
        models=tuple(listed.values()),
        prices=by_version,
        key_contexts={w.key_context: w.key.encrypted for ways in routes.values() for w in ways},
        ways={(w.provider, w.key_id): w for ways in routes.values() for w in ways},
        key_ids=frozenset(key.key_id for p in by_name.values() for key in p.keys),
        barred=tuple(barred),
        _listed=listed,
        _routes=own,
        _all_routes=everybody,
        _translated=frozenset(
            where for where, ways in everybody.items() if len(ways) > len(own.get(where, ()))
        ),
    )


def _everybody(own: _Routes, of_model: Mapping[str, Iterable[Candidate]]) -> _Routes:
    """Who serves a model on a protocol, and behind them who serves it on others."""
    return {
        (protocol, model): (
            *own.get((protocol, model), ()),
            *(way for way in ways if way.words is not protocol),
        )
        for protocol in Protocol
        for model, ways in of_model.items()
    }


def _calibration(ways: Iterable[Candidate]) -> Calibration | None:
    """By the upstreams' names of the model: under its own name anything may be served."""
    first, *others = {calibrations.of_model(way.upstream_model) for way in ways}
    return None if others else first


def _upstreams(ways: Iterable[Candidate]) -> tuple[Upstream, ...]:
    return tuple(dict.fromkeys(Upstream(way.words, way.upstream_model) for way in ways))


def _ways(provider: Provider, address: base_url.BaseUrl, served: ProviderModel) -> list[Candidate]:
    return [
        Candidate(
            provider.name,
            provider.protocol,
            address,
            key,
            served.upstream_model,
            encryption_context(key.tenant, key.key_id, address),
            provider.without_include_usage,
        )
        for key in provider.keys
    ]
