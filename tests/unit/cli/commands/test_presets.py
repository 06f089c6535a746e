"""Vendors that are known by name, and the keys that they take."""

import pytest
from typer.testing import CliRunner

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


def test_presets_are_listed_with_what_is_left_to_fill_in():
    """Without a suite."""
    shown = CliRunner().invoke(provider.providers, ["presets"]).output.splitlines()
    rows = {line.split()[0]: line.split() for line in shown}
    assert set(PRESETS) < set(rows)
    assert ["azure", "openai", PRESETS["azure"].base_url, "RESOURCE"] == rows["azure"]
    assert PRESETS["groq"].base_url == rows["groq"][-1]
    assert "PROJECT," in rows["vertex-anthropic"]


@pytest.mark.parametrize("protocol", ["openai", "responses", "nonsense"])
def test_the_example_of_an_address_is_nobodys(protocol):
    """Of a protocol that many speak."""
    assert "https://host/v1" == provider._example(protocol)


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
