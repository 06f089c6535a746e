"""Fixtures of the threat model's tests: a scripted upstream and models on it."""

from collections.abc import Callable, Iterator

import pytest

from tests import upstream
from tests.live import OPENAI, Live


@pytest.fixture(scope="module")
def scripted() -> Iterator[upstream.Upstream]:
    """An upstream that says exactly what a test wrote."""
    with upstream.running() as running:
        yield running


@pytest.fixture(scope="module")
def publish(live: Live, scripted: upstream.Upstream) -> Callable[..., dict[str, str]]:
    """Upstream model names → public models on the scripted upstream."""

    def models(*names: str, protocol: int = OPENAI) -> dict[str, str]:
        return live.models(
            {name: name for name in names},
            protocol,
            base_url=scripted.url,
            secret="sk-scripted-upstream-0123456789",
        )

    return models
