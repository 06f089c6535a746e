"""What a call is charged."""

from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.cost import cost_nano_usd
from tollgate_dialects.price import Price
from tollgate_dialects.usage import Usage, UsageSource
from tollgate_router import charge
from tollgate_router.charge import FREE, EndReason

PRICE = Price(
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
    Usage, input_tokens=COUNTS, output_tokens=COUNTS, cache_read_tokens=COUNTS,
    cache_write_5m_tokens=COUNTS, cache_write_1h_tokens=COUNTS,
)  # fmt: skip


def of(usage: Usage, source: UsageSource, reason: EndReason, reserved: int = 10**12):
    return charge.of_call(
        usage, source, reason, body=b"x" * 400, price=PRICE, reserved_nano_usd=reserved
    )


@given(USAGES, st.sampled_from(list(EndReason)), st.integers(0, 10**9))
def test_an_upstreams_report_is_the_truth(usage, reason, reserved):
    """What the upstream reported is charged as it is, however the call ended."""
    charged = of(usage, UsageSource.UPSTREAM, reason, reserved)
    assert (usage, cost_nano_usd(usage, PRICE)) == (charged.usage, charged.cost_nano_usd)


@given(
    USAGES,
    st.sampled_from([UsageSource.PARTIAL, UsageSource.ESTIMATED, UsageSource.NONE]),
    st.sampled_from(list(EndReason)),
    st.integers(0, 10**9),
)
def test_a_guess_stays_within_the_reservation(usage, source, reason, reserved):
    """What we counted or guessed costs what was reserved at most, and never less than nothing."""
    assert 0 <= of(usage, source, reason, reserved).cost_nano_usd <= reserved


def test_a_failure_before_anything_is_free():
    """An upstream that broke off within its first tokens is not paid by the customer."""
    started = Usage(input_tokens=500, output_tokens=charge.TOO_LITTLE_TOKENS)
    for reason in (EndReason.UPSTREAM_ERROR, EndReason.UPSTREAM_TIMEOUT):
        assert FREE == of(started, UsageSource.PARTIAL, reason)
    assert of(started, UsageSource.PARTIAL, EndReason.CLIENT_GONE).cost_nano_usd > 0


def test_missing_input_is_estimated():
    """Output without a report of input is charged with an estimate of it."""
    charged = of(Usage(output_tokens=10), UsageSource.ESTIMATED, EndReason.COMPLETED)
    assert (100, 10) == (charged.usage.input_tokens, charged.usage.output_tokens)


def test_media_are_not_text():
    """A megabyte of picture is not a quarter of a million tokens."""
    body = b'{"text":"abcd","image":"' + b"A" * 1_000_000 + b'"}'
    assert charge.estimated_input_tokens(body) < 1_100


@given(st.integers(1, 4_096), st.integers(1, 9))
def test_an_honest_stream_is_never_cut(tokens, bytes_per_token):
    """A stream within the limit it was reserved with is not cut, escaped Chinese included."""
    reserved = cost_nano_usd(Usage(output_tokens=tokens), PRICE)
    counted = Usage(output_tokens=-(-tokens * bytes_per_token // 3))
    assert not charge.is_spent(
        counted, UsageSource.ESTIMATED, price=PRICE, reserved_nano_usd=reserved
    )


@given(st.integers(1, 4_096))
def test_an_endless_stream_is_cut(tokens):
    """Beyond sixteen bytes for each reserved token a stream is cut."""
    reserved = cost_nano_usd(Usage(output_tokens=tokens), PRICE)
    counted = Usage(output_tokens=(tokens + 1) * 16 // 3 + 1)
    assert charge.is_spent(counted, UsageSource.ESTIMATED, price=PRICE, reserved_nano_usd=reserved)


def test_a_free_model_is_not_cut():
    """A price of zero reserves nothing and spends nothing."""
    free = Price(**{f: 0 for f in Price.__dataclass_fields__ if f.endswith("pico_usd")}, model="m",
                 version=1, max_input_tokens=1, max_output_tokens=1, source="seed")  # fmt: skip
    usage = Usage(output_tokens=10**6)
    assert not charge.is_spent(usage, UsageSource.UPSTREAM, price=free, reserved_nano_usd=0)
