"""The sample configuration is complete and true."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from tollgate_edge.config import CrossOriginConfig, EdgeApiConfig
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


@pytest.mark.parametrize(
    "origin",
    [
        "*", "null", "https://*.example", "app.example", "https://app.example/", "https://A.example",
        "https://app.example/x", "https://u@app.example", "https://app.example:", "ftp://app.example",
        "https://app.example\r\nx: y", "", " https://app.example",
    ],
)  # fmt: skip
def test_case_P13_what_is_no_origin_is_refused_at_the_start(origin):
    """A wildcard, a path, a pattern: the process does not start with what would never match."""
    with pytest.raises(ValueError, match="origin"):
        CrossOriginConfig((origin,))


@pytest.mark.parametrize(
    "origin", ["https://app.example", "http://localhost:5173", "http://[::1]:80", "http://10.0.0.1"]
)
def test_case_P13_an_origin_is_taken(origin):
    """Scheme, host and port, as a browser sends them."""
    assert (origin,) == CrossOriginConfig((origin,)).origins
