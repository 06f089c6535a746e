"""The gate that every reservation leaves by."""

import asyncio
import contextlib

import pytest

from tollgate.budget.v1 import budget_pb2
from tollgate_edge.api.call.ledger import Reservation
from tollgate_edge.identity.identity import RateBucket


class Books:
    """What a reservation tells its ledger."""

    def __init__(self):
        self.ends = []

    def settle(self, reservation_id, amount_nano_usd, trace_id, unused_rates, entry):
        self.ends.append((reservation_id, amount_nano_usd))
        self.unused = [(rate.bucket, rate.cost) for rate in unused_rates]

    def quarantine(self, reservation_id, trace_id):
        self.ends.append("quarantined")


def reservation(books) -> Reservation:
    granted = budget_pb2.Reservation(reservation_id="r", token=b"t", remaining_nano_usd=70)
    return Reservation(
        granted,
        amount_nano_usd=30,
        tokens=100,
        token_rates=[RateBucket("tokens", True, 1_000, 1_000, 60_000)],
        rates=None,
        trace_id="t",
        ledger=books,
    )


@pytest.mark.parametrize("error", [None, RuntimeError, asyncio.CancelledError])
@pytest.mark.parametrize(("sent", "expected"), [(False, [("r", 0)]), (True, ["quarantined"])])
async def test_whoever_leaves_undecided_is_decided_for(sent, expected, error):
    """Before the call was sent the money is released; after it, it stays counted. Whatever was

    raised, and without waiting for anything: a cancelled call settles, too.
    """
    books = Books()
    with pytest.raises(error) if error else contextlib.nullcontext():
        async with reservation(books) as held:
            held.sent = sent
            if error:
                raise error
    assert expected == books.ends


@pytest.mark.parametrize("ending", ["settle", "quarantine"])
async def test_a_reservation_ends_once(ending):
    """What was settled, or left, is not touched again at the end of the block."""
    books = Books()
    async with reservation(books) as held:
        held.sent = True
        held.settle(5) if ending == "settle" else held.quarantine()
        with pytest.raises(AssertionError):
            held.settle(6)
    assert 1 == len(books.ends)


def test_what_remains_counts_the_cost_instead_of_the_reservation():
    """The header shows what is left once the call is settled."""
    held = reservation(Books())
    assert (70, 95) == (held.remaining_nano_usd(None), held.remaining_nano_usd(5))


@pytest.mark.parametrize(("used", "unused"), [(24, [("tokens", 76)]), (100, []), (130, [])])
def test_case_M9_tokens_that_were_not_used_are_given_back(used, unused):
    """What was reserved of a token rate and not used is free again; an overrun takes nothing back."""
    books = Books()
    reservation(books).settle(5, used_tokens=used)
    assert unused == books.unused
