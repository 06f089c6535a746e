"""Fixtures of the threat model's tests: a scripted upstream and models on it."""

from collections.abc import Callable, Iterator

import pytest

from tests import upstream
from tests.fakes.edge import Edge
from tests.integration.trust import fronts
from tests.live import OPENAI, Live
from tests.mesh import Mesh


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


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge before services that echo; every module of the smuggling suite has its own."""
    with fronts.edge_on_a_thread(Mesh(tmp_path_factory.mktemp("pki"))) as running:
        yield running


@pytest.fixture(scope="module")
def port(edge: Edge) -> int:
    """Where it listens."""
    return int(edge.url.rpartition(":")[2])


@pytest.fixture(scope="module")
def proxies(port: int) -> Iterator[dict[str, int] | None]:
    """nginx before it, if there is one."""
    with fronts.nginx(port) as running:
        yield running


@pytest.fixture(params=["nginx", "nginx that upgrades"])
def proxy(request: pytest.FixtureRequest, proxies: dict[str, int] | None) -> int:
    """A port of nginx."""
    if proxies is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    return proxies[request.param]
