"""What a person is told about a model that cannot be called."""

import pytest

from tollgate.router.v1 import router_pb2
from tollgate_cli.commands import callable_models


@pytest.fixture
def known() -> callable_models.Models:
    def provider(name: str, *models: str, enabled: bool = True, keys: int = 1):
        return router_pb2.Provider(
            name=name,
            enabled=enabled,
            models=[router_pb2.ProviderModel(model=m, upstream_model=m) for m in models],
            key_ids=[f"k{n}" for n in range(keys)],
        )

    providers = [
        provider("one", "gpt-4o-mini", "gpt-4o"),
        provider("off", "sleepy", enabled=False),
        provider("keyless", "locked", keys=0),
    ]
    prices = [router_pb2.Price(model=m) for m in ("gpt-4o-mini", "sleepy", "locked", "later")]
    return callable_models.of(providers, prices)


@pytest.mark.parametrize(
    ("model", "said", "remedy"),
    [
        ("gpt-4o-mni", "no provider serves", "did you mean gpt-4o-mini or gpt-4o?"),
        ("GPT-4O-MINI", "no provider serves", "did you mean gpt-4o-mini"),
        ("", "no provider serves", "tollgate provider list"),
        ("something else", "no provider serves", "tollgate provider list"),
        ("gpt-4o", "has no price", "tollgate price set gpt-4o --input"),
        ("sleepy", "no enabled provider", "tollgate provider list"),
        ("locked", "no enabled provider", "tollgate provider list"),
        ("later", "no provider serves", "tollgate provider list"),
    ],
)
def test_case_B5_why_a_model_cannot_be_called(known, model: str, said: str, remedy: str) -> None:
    """Each way in which a model cannot be called has its sentence and its command."""
    problem, do = known.why_not(model)
    assert said in problem
    assert remedy in do


def test_case_B5_a_callable_model_is_not_complained_about(known) -> None:
    """A priced model of an enabled provider with a key passes; unpriced ones are listed."""
    assert known.why_not("gpt-4o-mini") is None
    only = router_pb2.Provider(models=[router_pb2.ProviderModel(model=m) for m in ("gpt-4o", "x")])
    assert ["gpt-4o", "x"] == known.unpriced(only)
