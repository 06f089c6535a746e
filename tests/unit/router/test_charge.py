"""What a call is charged."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.pricing.cost import cost_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING, Usage, UsageSource
from tollgate_router import charge
from tollgate_router.charge import FREE, EndReason, Seen

PRICE = Price.of(
    model="m",
    version=1,
    input_pico_usd=1_000_000,
    output_pico_usd=2_000_000,
    cache_read_pico_usd=100_000,
    cache_write_5m_pico_usd=1_250_000,
    cache_write_1h_pico_usd=2_000_000,
    max_input_tokens=100_000,
    max_output_tokens=4_096,
    source="seed",
)
COUNTS = st.integers(0, 10**6)
USAGES = st.builds(
    Usage.of, input_tokens=COUNTS, output_tokens=COUNTS, cache_read_tokens=COUNTS,
    cache_write_5m_tokens=COUNTS, cache_write_1h_tokens=COUNTS,
)  # fmt: skip


def of(
    reason: EndReason,
    usage: Usage = NOTHING,
    source: UsageSource = UsageSource.PARTIAL,
    *,
    final: bool = False,
    output: bool = False,
    told: bool = False,
    reserved: int = 10**12,
):
    seen = Seen(usage, source, final, output, told)
    return charge.of_call(seen, reason, body=b"x" * 300, price=PRICE, reserved_nano_usd=reserved)


@given(USAGES, st.sampled_from(list(EndReason)), st.integers(0, 10**9))
def test_an_upstreams_report_is_the_truth(usage, reason, reserved):
    """What the upstream reported last is charged as it is, however the call ended."""
    charged = of(reason, usage, UsageSource.UPSTREAM, final=True, reserved=reserved)
    assert (usage, cost_nano_usd(usage, PRICE)) == (charged.usage, charged.cost_nano_usd)


@given(
    USAGES,
    st.sampled_from([UsageSource.PARTIAL, UsageSource.ESTIMATED, UsageSource.NONE]),
    st.sampled_from(list(EndReason)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 10**9),
)
def test_a_guess_stays_within_the_reservation(usage, source, reason, output, told, reserved):
    """What we counted or guessed costs what was reserved at most, and never less than nothing."""
    charged = of(reason, usage, source, output=output, told=told, reserved=reserved)
    assert 0 <= charged.cost_nano_usd <= reserved


@given(
    st.sampled_from([r for r in EndReason if r not in (EndReason.COMPLETED, EndReason.NO_ROUTE)]),
    USAGES,
    st.booleans(),
)
def test_case_M1_an_unknown_end_is_never_zero(reason, usage, output):
    """Contacted, not told to have failed, no last report: charged from what was seen, or unknown."""
    charged = of(reason, usage, output=output)
    assert charged.is_unknown or charged.cost_nano_usd > 0


def test_case_M1_an_upstream_that_broke_off_is_unknown_whatever_was_seen():
    """Nobody knows what it went on to do, hidden reasoning included: the reservation stays."""
    started = Usage.of(input_tokens=500, output_tokens=3)
    for reason in (EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT):
        charged = of(reason, started, output=True)
        assert (True, 0, started) == (charged.is_unknown, charged.cost_nano_usd, charged.usage)


def test_an_upstream_that_says_that_it_failed_is_believed():
    """Free before it produced anything; after that what it produced is charged."""
    started = Usage.of(input_tokens=500, output_tokens=3)
    assert FREE == of(EndReason.UPSTREAM_ERROR, started, told=True)
    assert of(EndReason.UPSTREAM_ERROR, started, told=True, output=True).cost_nano_usd > 0


def test_missing_input_is_estimated():
    """Output without a report of input is charged with an estimate of it."""
    charged = of(
        EndReason.COMPLETED, Usage.of(output_tokens=10), UsageSource.ESTIMATED, output=True
    )
    assert (100, 10) == (charged.usage[Unit.INPUT], charged.usage[Unit.OUTPUT])


def test_media_are_not_text():
    """A megabyte of picture is not a quarter of a million tokens."""
    body = b'{"text":"abcd","image":"' + b"A" * 1_000_000 + b'"}'
    assert charge.estimated_input_tokens(body) < 1_100


@given(st.integers(1, 4_096), st.integers(1, 9))
def test_an_honest_stream_is_never_cut(tokens, bytes_per_token):
    """A stream within the limit it was reserved with is not cut, escaped Chinese included."""
    reserved = cost_nano_usd(Usage.of(output_tokens=tokens), PRICE)
    counted = Usage.of(output_tokens=-(-tokens * bytes_per_token // 3))
    assert not charge.is_spent(
        counted, UsageSource.ESTIMATED, price=PRICE, reserved_nano_usd=reserved
    )


@given(st.integers(1, 4_096))
def test_an_endless_stream_is_cut(tokens):
    """Beyond sixteen bytes for each reserved token a stream is cut."""
    reserved = cost_nano_usd(Usage.of(output_tokens=tokens), PRICE)
    counted = Usage.of(output_tokens=(tokens + 1) * 16 // 3 + 1)
    assert charge.is_spent(counted, UsageSource.ESTIMATED, price=PRICE, reserved_nano_usd=reserved)


def test_a_free_model_is_not_cut():
    """A price of zero reserves nothing and spends nothing."""
    free = Price.of(**{unit.price_field: 0 for unit in Unit}, model="m",
                 version=1, max_input_tokens=1, max_output_tokens=1, source="seed")  # fmt: skip
    usage = Usage.of(output_tokens=10**6)
    assert not charge.is_spent(usage, UsageSource.UPSTREAM, price=free, reserved_nano_usd=0)


@pytest.mark.parametrize("run", [b"a" * 511 + b" ", b"/" * 511 + b'"', b"a" * 511 + b"\xc3\xa4"])
def test_an_estimate_takes_the_time_that_a_body_is_long(run):
    """Runs that are almost a medium's do not stop the loop: each is read once."""
    body = run * (4_000_000 // len(run))
    start = time.process_time()
    assert len(body) // 3 == charge.estimated_input_tokens(body)
    assert time.process_time() - start < 0.5


def test_an_estimate_takes_a_medium_for_one_whatever_its_size():
    """A run of base64 counts as a usual picture, a shorter one as text."""
    for run, tokens in ((b"a" * 511, 171), (b"a" * 512, 1_000), (b"a" * 10**6, 1_000)):
        assert tokens == charge.estimated_input_tokens(b'"%b"' % run)
