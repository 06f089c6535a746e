"""Fixtures of the unmodified clients: installed once a run, each test with a home of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import upstream
from tests.e2e.clients.installed import Installed, NotInstalledError, install
from tests.e2e.clients.stage import Stage
from tests.live import Live


@pytest.fixture(scope="session")
def installed() -> Installed:
    """The clients; where they cannot be had, their tests are skipped and say why."""
    try:
        return install()
    except NotInstalledError as reason:
        pytest.skip(f"clients cannot be installed here: {reason}")


@pytest.fixture(scope="session")
def scripted() -> Iterator[upstream.Upstream]:
    """An upstream that says what a test wrote."""
    with upstream.running() as running:
        yield running


@pytest.fixture(scope="session")
def stage(
    live: Live,
    scripted: upstream.Upstream,
    installed: Installed,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stage:
    """The suite with scripted models."""
    return Stage(live, scripted, installed, tmp_path_factory.mktemp("clients"))


@pytest.fixture
def home(stage: Stage, tmp_path: Path) -> Path:
    """A new home for the clients of a test, in which they run."""
    stage.home = tmp_path
    return tmp_path
