"""What is left of a key's rates, in each protocol's headers."""

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.api import paths
from tollgate_edge.errors.rates_left import RateLeft, RatesLeft
from tollgate_edge.headers import rate_headers

NOW = 1_800_000_000_000
RATES = RatesLeft(RateLeft(60, 59, 1_000), RateLeft(90_000, 1_500, 59_001))
OPENAI = {
    b"x-ratelimit-limit-requests": b"60",
    b"x-ratelimit-remaining-requests": b"59",
    b"x-ratelimit-reset-requests": b"1s",
    b"x-ratelimit-limit-tokens": b"90000",
    b"x-ratelimit-remaining-tokens": b"1500",
    b"x-ratelimit-reset-tokens": b"59.001s",
}
ANTHROPIC = {
    b"anthropic-ratelimit-requests-limit": b"60",
    b"anthropic-ratelimit-requests-remaining": b"59",
    b"anthropic-ratelimit-requests-reset": b"2027-01-15T08:00:01Z",
    b"anthropic-ratelimit-tokens-limit": b"90000",
    b"anthropic-ratelimit-tokens-remaining": b"1500",
    # Rounded up: who comes then finds all of it.
    b"anthropic-ratelimit-tokens-reset": b"2027-01-15T08:01:00Z",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", OPENAI),
        ("/v1/responses", OPENAI),
        ("/v1/completions", OPENAI),
        ("/v1/embeddings", OPENAI),
        ("/v1/moderations", OPENAI),
        ("/v1/rerank", OPENAI),
        ("/openai/deployments/m/chat/completions", OPENAI),
        ("/v1/messages", ANTHROPIC),
        ("/v1beta/models/m:generateContent", {}),
        ("/api/v1/services/aigc/text-generation/generation", {}),
    ],
)
def test_each_protocol_is_told_in_its_own_words(path, expected):
    """OpenAI's headers and Anthropic's; Gemini's and DashScope's clients know none."""
    face = paths.of(path).face
    assert face is not None
    assert expected == dict(face.rates(RATES, NOW))


def test_a_limit_that_a_key_does_not_have_is_not_told():
    """Of a key with a rate of tokens alone there is no word of requests; of one without, nothing."""
    tokens = RATES._replace(requests=None)
    for tell in (rate_headers.openai, rate_headers.anthropic):
        assert (
            3 == sum(b"tokens" in name for name, _ in tell(tokens, NOW)) == len(tell(tokens, NOW))
        )
        assert [] == tell(RatesLeft(), NOW)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0s"), (1, "1ms"), (120, "120ms"), (999, "999ms"), (1_000, "1s"), (1_250, "1.25s"),
        (59_999, "59.999s"), (60_000, "1m0s"), (360_000, "6m0s"), (1_252_666, "20m52.666s"),
        (3_600_000, "1h0m0s"), (86_399_001, "23h59m59.001s"), (90_000_000, "25h0m0s"),
    ],
)  # fmt: skip
def test_a_duration_is_spelt_as_openai_spells_it(ms, text):
    """As Go's time.Duration prints; `20m52.666s` and `6ms` are in recorded answers of OpenAI's."""
    assert text == rate_headers.duration(ms)


@given(st.integers(0, 10**12))
def test_a_duration_says_what_it_is(ms):
    """Whoever adds its parts up has the very time, as clients do."""
    units = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|h|m|s)", rate_headers.duration(ms))
    assert "".join(number + unit for number, unit in parts) == rate_headers.duration(ms)
    assert ms == round(sum(float(number) * units[unit] for number, unit in parts))


@given(st.integers(0, 4 * 10**12))
def test_an_instant_is_never_early(ms):
    """RFC 3339 in UTC, less than a second late."""
    told = dt.datetime.fromisoformat(rate_headers.instant(ms))
    assert 0 <= told.timestamp() * 1000 - ms < 1000


LEFTS = st.builds(RateLeft, st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))


@given(st.lists(LEFTS, min_size=1, max_size=8))
def test_of_several_limits_the_strictest_is_told(lefts):
    """None leaves less; of those that leave as little, none is full later."""
    told = None
    for left in lefts:
        told = left.or_stricter(told)
    assert told in lefts
    assert not [left for left in lefts if left.remaining < told.remaining]
    alike = [left.full_after_ms for left in lefts if left.remaining == told.remaining]
    assert told.full_after_ms == max(alike)


def test_told_later_it_is_full_sooner():
    """What passed counts; never below nothing."""
    later = RATES.later(2_000)
    assert RatesLeft(RateLeft(60, 59, 0), RateLeft(90_000, 1_500, 57_001)) == later
    assert RatesLeft() == RatesLeft().later(5)
