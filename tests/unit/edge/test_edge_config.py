"""The sample configuration is complete and true."""

import dataclasses
import tomllib
from pathlib import Path

from tollgate_edge.config import EdgeApiConfig
from tollgate_kit import config

SAMPLE = Path(__file__).parents[3] / "deploy" / "config" / "edge-api.toml"


def test_the_sample_is_read_and_names_every_setting():
    """deploy/config/edge-api.toml loads, and every field of every section stands in it."""
    loaded = config.load(SAMPLE, EdgeApiConfig)
    document = tomllib.loads(SAMPLE.read_text())
    for field in dataclasses.fields(loaded):
        section = getattr(loaded, field.name)
        assert {f.name for f in dataclasses.fields(section)} == set(document[field.name])


def test_the_defaults_that_the_sample_shows_are_the_defaults():
    """What the sample calls a default is one."""
    loaded = config.load(SAMPLE, EdgeApiConfig)
    for name in ("limits", "cache", "catalogue", "evidence", "settle"):
        section = getattr(loaded, name)
        assert type(section)() == section
