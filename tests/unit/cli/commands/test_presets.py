"""Vendors that are known by name, and the keys that they take."""

import pytest

from tests import google
from tollgate_cli.commands import provider
from tollgate_cli.commands.presets import PRESETS
from tollgate_cli.fault import Fault

PROJECT = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google"


@pytest.fixture
def account(tmp_path):
    path = tmp_path / "account.json"
    path.write_text(google.file())
    return path


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_names_a_protocol_and_an_address(preset):
    """Words of the command line, and nothing that its own checks would refuse."""
    assert preset.protocol in provider.PROTOCOLS
    assert preset.base_url.startswith(("https://", "http://127.0.0.1:"))
    assert not preset.base_url.endswith("/")


@pytest.mark.parametrize("name", ["azure", "bedrock", "bedrock-invoke", "vertex-anthropic"])
def test_what_only_the_operator_knows_is_asked_for(name, account):
    """Region, resource and project."""
    preset = PRESETS[name]
    assert not preset.is_complete
    with pytest.raises(Fault, match="needs --base-url"):
        provider._checked(name, preset.protocol, preset.base_url, account, False)


def test_an_account_of_vertex_has_a_project(account, tmp_path):
    """An API key has none; the file goes up whole, and no part of it is shown."""
    preset = PRESETS["vertex"]
    with pytest.raises(Fault, match="needs --base-url") as refused:
        provider._checked("vertex", preset.protocol, preset.base_url, account, False)
    assert not [p for p in google.pieces() if p in f"{refused.value.problem}{refused.value.remedy}"]
    assert google.file() == provider._checked("vertex", preset.protocol, PROJECT, account, False)
    key = tmp_path / "key"
    key.write_text("AIza-key\n")
    checked = provider._checked("vertex", preset.protocol, preset.base_url, key, False)
    assert "AIza-key" == checked
