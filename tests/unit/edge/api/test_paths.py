"""What a path means, before a route is looked for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.api import paths

PIECES = st.lists(
    st.sampled_from(
        [
            "/",
            "//",
            "v1",
            "openai",
            "apps",
            "anthropic",
            "compatible-mode",
            "chat",
            "completions",
            "messages",
            "models",
            "health",
            "live",
            "x",
        ]
    ),
    max_size=12,
).map("".join)


@given(PIECES)
def test_case_P12_a_path_that_is_right_stays_as_it_is(path):
    """What was put right is right; a hot path is its own meaning, so that it need not be looked at."""
    meant = paths.canonical(path)
    assert meant == paths.canonical(meant)
    assert path == meant or re.match("/v1/|/health/", meant)
    for hot in paths.HOT:
        assert hot == paths.canonical(hot)


@pytest.mark.parametrize(
    "path",
    [
        "/" * 65_000,
        "/v1" * 20_000,
        "/v1/chat" + "/" * 65_000,
        "/v1//" * 13_000 + "x",
        "/apps" + "/" * 65_000,
    ],
)
@pytest.mark.timeout(2)
def test_case_P12_no_path_takes_long(path):
    """Work in proportion to a path's length, whatever it repeats."""
    assert path == paths.canonical(path)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/models/org/name", "org/name"), ("/models/a", "a"), ("//v1//models//org/name/", "org/name"),
        ("/v1/models/org//name", "org//name"), ("/v1/models/v1/models", "v1/models"),
    ],
)  # fmt: skip
def test_case_P13_the_name_of_a_model_stays_as_it_is(path, model):
    """Only the place is put right, and the slashes around the name."""
    assert f"/v1/models/{model}" == paths.canonical(path)
