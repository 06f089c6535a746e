"""Shares: whatever is taken and given back, nobody is above its share, nor all above the total."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tollgate_edge.limits.fair_shares import Full, Held, Shares

STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from("abcdef"), st.sampled_from("xyz"), st.integers(0, 40)),
    max_size=200,
)


@given(STEPS, st.integers(1, 100), st.integers(1, 60), st.integers(1, 80))
def test_case_B1_no_holder_is_above_its_share_and_the_sum_not_above_the_total(
    steps, total, each, each_group
):
    """Beside a plain model: bounds hold after each step, a refusal is true, zero is forgotten."""
    shares = Shares(total, each, each_group)
    held: Counter[tuple[str, str]] = Counter()

    def used_by(group: str) -> int:
        return sum(amount for (_, of), amount in held.items() if of == group)

    for take, key, group, amount in steps:
        # A key belongs to one tenant.
        holders = (f"{group}{key}", group)
        if take:
            full = shares.take(holders, amount)
            over_all = sum(held.values()) + amount > total
            over_own = held[holders] + amount > each or used_by(group) + amount > each_group
            assert full is (Full.ALL if over_all else Full.OWN if over_own else None)
            if full is None:
                held[holders] += amount
        elif held[holders] >= amount:
            shares.give(holders, amount)
            held[holders] -= amount
        held = +held
        assert sum(held.values()) == shares.used <= total
        assert all(amount <= each for amount in held.values())
        assert all(used_by(group) <= each_group for group in "xyz")
        assert len(held) + len({group for _, group in held}) == len(shares)


@given(st.lists(st.integers(0, 30), max_size=20))
def test_what_a_call_holds_is_given_back_whole(amounts):
    """However the block is left, and whatever was given back before: nothing stays taken."""
    calls, size = Shares(10, 5), Shares(100, 50)
    with Held(("k",)) as held:
        for number, amount in enumerate(amounts):
            held.take(size, amount)
            held.take(calls)
            if number % 3 == 0:
                held.give(size)
    assert (0, 0, 0, 0) == (calls.used, size.used, len(calls), len(size))


def test_who_has_no_name_is_bounded_by_the_total_alone():
    """A trusted proxy: no share of its own."""
    shares = Shares(3, 1)
    assert [None, None, None, Full.ALL] == [shares.take(()) for _ in range(4)]
    assert 0 == len(shares)
