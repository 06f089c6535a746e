"""A real edge with scripted services behind it."""

import pytest

from tests.fakes.edge import (
    running,
)
from tests.mesh import Mesh


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    return Mesh(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def edge(mesh):
    async with running(mesh) as edge:
        yield edge
