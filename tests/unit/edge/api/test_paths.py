"""What a path means, before a route is looked for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.request.rules import Told
from tollgate_edge.api import paths
from tollgate_edge.api.faces import gemini_api

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
            "v1beta",
            "publishers",
            "google",
            "a:generateContent",
            "health",
            "live",
            "api",
            "services/aigc/text-generation/generation",
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
    assert path == meant or re.match("/v1/|/api/v1/services/|/health/", meant)
    for hot in paths.HOT:
        assert hot == paths.canonical(hot)


@pytest.mark.parametrize(
    "path",
    [
        "/" * 65_000,
        "/v1" * 20_000,
        "/v1/chat" + "/" * 65_000,
        "/openai/deployments" + "/" * 65_000,
        "/openai/deployments/a" + "/" * 65_000 + "x",
        "/openai/deployments" + "/a" * 30_000,
        "/v1beta/models" + "/" * 65_000 + "x",
        "/v1beta/models/" + ":" * 65_000,
        "/v1beta1" * 8_000 + "/models/x",
        "/v1//" * 13_000 + "x",
        "/apps" + "/" * 65_000,
        "/v1beta" * 10_000,
        "/v1beta/" * 10_000 + "x",
        "/v1beta" + "/" * 65_000,
        "/v1beta/models/a" + "/" * 65_000 + "b",
        "/v1beta/models/" + ":a" * 32_000,
        "/api" * 16_000,
        "/api//v1//" * 6_000 + "services",
    ],
)
@pytest.mark.timeout(2)
def test_case_P12_no_path_takes_long(path):
    """Work in proportion to a path's length, whatever it repeats."""
    assert path == paths.canonical(path)
    assert paths.of(path).face is None


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


@pytest.mark.parametrize("base", ["/v1beta", "/v1", "/v1alpha", "//v1beta//", "/v1/v1beta",
                                  "/v1beta1/publishers/google"])  # fmt: skip
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "org/name", "llama3:8b"])
def test_googles_clients_name_model_and_verb_in_the_path(base, model):
    """Whole, streamed or only counted; a model's name may have slashes and colons."""
    for verb, stream, counts in (
        ("generateContent", False, False),
        ("streamGenerateContent", True, False),
        ("countTokens", False, True),
    ):
        called = paths.of(f"{base}/models/{model}:{verb}")
        assert called.face is gemini_api.FACE
        assert (Told(model, stream=stream), counts) == (called.told, called.counts)


def test_googles_lists_are_told_apart_by_their_path():
    """Below /v1beta it is Google's client that asks; below /v1 its headers say so."""
    for path, meant in (("/v1beta/models", "/v1/models"), ("/v1beta/models/a/b", "/v1/models/a/b")):
        called = paths.of(path)
        assert (None, gemini_api.FACE, meant) == (called.face, called.spoken, called.path)
    assert paths.of("/v1/models").spoken is None
    for path in ("/v1beta/models/:generateContent", "/v1beta/files", "/v1beta"):
        assert paths.of(path).face is None


@pytest.mark.parametrize("kind", ["text", "multimodal"])
@pytest.mark.parametrize("before", ["/api/v1/", "//api//v1/", "/v1/", "/", "/api/v1/api/v1/"])
@pytest.mark.parametrize("after", ["", "/", "//"])
def test_generations_are_found_under_any_base_url(kind, before, after):
    """DashScope's two paths, with a slash or a version too many or too few; a stream is a header."""
    called = paths.of(f"{before}services//aigc/{kind}-generation/generation{after}")
    assert f"/api/v1/services/aigc/{kind}-generation/generation" == called.path
    assert called == paths.HOT[called.path]
    asked = {
        (b"x-dashscope-sse", b"enable"): True,
        (b"accept", b"text/event-stream"): True,
        (b"accept", b"application/json"): False,
        (b"x-dashscope-sse", b"disable"): False,
    }
    for header, streams in asked.items():
        assert streams is called.told_by([(b"host", b"h"), header]).stream


@pytest.mark.parametrize(
    ("path", "protocol"),
    [
        ("/v1beta/models/m:embedContent", "gemini.generate_content"),
        ("/v1beta/models/a/b:batchGenerateContent", "gemini.generate_content"),
        ("/api/v1/services/embeddings/text-embedding/text-embedding", "dashscope.generation"),
        ("/api/v1/tasks/x", "dashscope.generation"),
    ],
)
def test_what_is_not_served_is_told_in_its_clients_words(path, protocol):
    """No route, and whose client asked; a model with a colon in its name is a model."""
    called = paths.of(path)
    assert (path, None, protocol) == (called.path, called.face, called.spoken.protocol.value)
    assert "/v1/models/m:free" == paths.of("/v1beta/models/m:free").path
