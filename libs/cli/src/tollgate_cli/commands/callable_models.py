"""Which models can be called now, and why another cannot: said when a person names it, not later.

A model is called when an enabled provider with a key serves it and it has a price: without one no
bound can be reserved, so the gateway does not offer it.
"""

import difflib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tollgate.router.v1 import router_pb2
from tollgate_cli.operator_client import Operator

_NEAREST = 3


@dataclass(frozen=True)
class Models:
    """What router knows: prices, and the models of providers."""

    priced: frozenset[str]
    served: frozenset[str]  # by an enabled provider with a key
    known: frozenset[str]  # by any provider

    @property
    def callable(self) -> frozenset[str]:
        return self.priced & self.served

    def unpriced(self, provider: Any) -> list[str]:
        """The models of a provider that have no price, in its order."""
        return [item.model for item in provider.models if item.model not in self.priced]

    def why_not(self, model: str) -> tuple[str, str] | None:
        """(what is wrong, what to do) for a model that cannot be called; None if it can."""
        if model in self.callable:
            return None
        if model in self.served:
            return f"{model!r} has no price, so it cannot be called", price_command(model)
        if model in self.known:
            return (
                f"no enabled provider with a key serves {model!r}",
                "`tollgate provider list` shows providers and their keys",
            )
        offered = "`tollgate provider list` shows what there is"
        return f"no provider serves a model {model!r}", nearest(model, self.known) or offered


def price_command(model: str) -> str:
    """The command that gives a model its first price."""
    return f"tollgate price set {shlex.quote(model)} --input USD --output USD  (per million tokens)"


def nearest(name: str, known: Iterable[str]) -> str:
    """Asks "did you mean …?" about a name that is not known; empty if nothing is like it."""
    folded = {item.casefold(): item for item in sorted(known)}
    found = difflib.get_close_matches(name.casefold(), folded, _NEAREST)
    return f"did you mean {' or '.join(folded[item] for item in found)}?" if found else ""


async def models(operator: Operator) -> Models:
    """Asks router."""
    listed = await operator.call(operator.router.ListProviders, router_pb2.ListProvidersRequest())
    prices = await operator.call(operator.router.ListPrices, router_pb2.ListPricesRequest())
    return of(listed.providers, prices.prices)


def of(providers: Iterable[Any], prices: Iterable[Any]) -> Models:
    """The same from what was listed."""
    found = [
        (item.model, one.enabled and bool(one.key_ids)) for one in providers for item in one.models
    ]
    return Models(
        priced=frozenset(price.model for price in prices),
        served=frozenset(model for model, serves in found if serves),
        known=frozenset(model for model, _ in found),
    )
