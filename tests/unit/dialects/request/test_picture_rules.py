"""What a picture is to a model: its vendor's published rule, and never less than that makes of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.tokens import calibration, pictures

EDGES = st.integers(1, 65_535)
DETAILS = ("", "auto", "low", "high", "original")


def of(model, size, detail=""):
    return calibration.of_model(model).picture(size, detail)


# OpenAI, "Images and vision"; those of gpt-5.5 and gpt-5.6 from 512 to 4,032 pixels were billed.
OPENAI = [
    ("gpt-4o", (1024, 1024), "", 765), ("gpt-4o", (2048, 4096), "high", 1_105),
    ("gpt-4o", (4096, 8192), "low", 85), ("gpt-4o-mini", (1024, 1024), "", 25_501),
    ("gpt-5", (1024, 1024), "", 630), ("gpt-5.1", (9, 9), "low", 70), ("o3", (512, 512), "", 225),
    ("gpt-5.4", (1024, 1024), "high", 1_229), ("gpt-5.4", (2048, 2048), "", 3_000),
    ("gpt-5.4-mini", (1600, 1600), "", 3_000), ("gpt-5.4", (2048, 2048), "low", 4_916),
    ("gpt-5.4", (3840, 2160), "original", 9_792), ("gpt-5.5", (3840, 2160), "", 9_792),
    ("gpt-5.6", (512, 512), "", 308), ("gpt-5.6", (1920, 1080), "", 2_448),
    ("gpt-5.6", (4032, 3024), "", 14_364), ("gpt-5.6", (4032, 3024), "low", 231),
    ("gpt-5.6-luna", (65_535, 65_535), "", 36_000), ("gpt-5-mini", (1024, 1024), "", 1_229),
    ("gpt-5-nano", (128, 128), "", 24), ("gpt-4.1-mini", (1024, 1024), "", 1_659),
    ("gpt-4.1-nano", (32, 32), "", 3), ("o4-mini", (1024, 1024), "", 1_762),
]  # fmt: skip
# Anthropic, "Vision", and Google, "Media resolution".
OTHERS = [
    ("claude-sonnet-4-6", (200, 200), "", 64), ("claude-sonnet-4-6", (8000, 8000), "", 1_600),
    ("claude-opus-4-7", (1092, 1092), "", 1_590), ("claude-opus-4-7", (3840, 2160), "", 4_784),
    ("gemini-2.5-flash", (300, 384), "", 258), ("gemini-2.5-flash", (960, 540), "", 1_548),
    ("gemini-3-flash-preview", (9, 9), "", 1_120),
    ("gemini-3-flash-preview", (9_000, 9_000), "MEDIA_RESOLUTION_LOW", 280),
    ("gemini-3-flash-preview", (9, 9), "media_resolution_ultra_high", 2_240),
    ("gemini-3-flash-preview", (9, 9), "5", 2_240), ("gemini-3-flash-preview", (9, 9), "low", 1_120),
    ("deepseek-chat", (512, 512), "low", 8_500),
]  # fmt: skip


@pytest.mark.parametrize(("model", "size", "detail", "tokens"), OPENAI + OTHERS)
def test_a_picture_by_its_vendors_rule(model, size, detail, tokens):
    """Their own examples, and bills."""
    assert tokens == of(model, size, detail)


# Size -> billed for it at Claude 4.5 and at its high resolution, less the text beside it.
CLAUDE = {
    (1000, 1000): (1_296, 1_296), (1920, 1080): (1_560, 2_691), (2000, 1500): (1_564, 3_888),
    (3840, 2160): (1_560, 4_784), (256, 256): (100, 100), (768, 768): (784, 784),
}  # fmt: skip


@pytest.mark.parametrize("size", CLAUDE)
def test_a_picture_at_claude_is_close_to_what_it_publishes(size):
    """Older models count width x height / 750: up to a twentieth more."""
    for model, tokens in zip(("claude-haiku-4-5", "claude-opus-4-8"), CLAUDE[size], strict=True):
        assert tokens <= of(model, size) <= tokens * 1.06


def tiles(width, height, base, tile):
    """OpenAI's rule as it is published, in fractions."""
    scale = min(1, 2_048 / max(width, height))
    width, height = width * scale, height * scale
    scale = min(1, 768 / min(width, height))
    return base + tile * math.ceil(int(width * scale) / 512) * math.ceil(int(height * scale) / 512)


def patches(width, height, edge, budget):
    scale = min(1, edge / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    if math.ceil(width / 32) * math.ceil(height / 32) <= budget:
        return math.ceil(width / 32) * math.ceil(height / 32)
    shrink = math.sqrt(32**2 * budget / (width * height))
    wide, high = width * shrink / 32, height * shrink / 32
    if min(wide, high) < 1:  # a strip: the rule says nothing of it
        return 1
    shrink *= min(math.floor(wide) / wide, math.floor(high) / high)
    return math.ceil(int(width * shrink) / 32) * math.ceil(int(height * shrink) / 32)


@given(EDGES, EDGES)
def test_the_bound_is_no_less_than_openais_rule(width, height):
    """At any size, exactly computed; what is scaled down may count as its whole budget."""
    assert tiles(width, height, 85, 170) <= of("gpt-4o", (width, height))
    assert tiles(width, height, 70, 140) <= of("gpt-5", (width, height))
    for model, detail, edge, budget in (
        ("gpt-5.4", "high", 2_048, 2_500),
        ("gpt-5.4", "low", 2_048, 6_144),
        ("gpt-5.4", "original", 6_000, 10_000),
        ("gpt-5.5", "low", 512, 256),
        ("gpt-5.6", "high", 2_048, 2_500),
    ):
        exact = math.ceil(patches(width, height, edge, budget) * 1.2)
        assert exact <= of(model, (width, height), detail) <= max(exact * 1.25, budget * 1.2) + 80


@given(EDGES, EDGES, st.sampled_from(DETAILS))
def test_the_dearest_rule_is_above_all_others(width, height, detail):
    """What a model may be that nobody knows; and a size that is not known is the largest."""
    for known in calibration.BY_WORD.values():
        tokens = known.picture((width, height), detail)
        assert tokens <= pictures.dearest((width, height), "")
        assert tokens <= known.picture(None, detail)
        assert tokens <= known.picture((width, height), "?")
