"""The ledger, line by line: what each step does to the sums (ledger_table.py explains the lines)."""

import pytest

from tests.unit.budget.ledger.ledger_table import run
from tollgate_budget.ledger.ledger import Book, Reserve, Settle
from tollgate_budget.ledger.window import open_window


def test_reserve_counts_at_once_and_settle_gives_the_rest_back():
    """Pending counts against the limit from the moment of the reserve; settle posts the truth."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        sums A 0 60 0
        reserve T2 A 41 -> denied BUDGET_HELD A 40
        reserve T3 A 40 -> ok 0
        settle T1 25 -> POSTED
        sums A 25 40 0
        settle T3 0 -> RELEASED
        sums A 25 0 0
        reserve T4 A 75 -> ok 0
    """)


def test_all_accounts_or_none():
    """The tightest account refuses for all; the others are left as they were."""
    run("""
        account KEY 50
        account TENANT 100
        reserve T1 KEY,TENANT 50 -> ok 0
        reserve T2 KEY,TENANT 1 -> denied BUDGET_HELD KEY 0
        sums TENANT 0 50 0
        reserve T3 TENANT 50 -> ok 0
        settle T1 0 -> RELEASED
        reserve T4 KEY,TENANT 51 -> denied BUDGET_EXHAUSTED KEY 50
        sums KEY 0 0 0
        sums TENANT 0 50 0
    """)


def test_nothing_may_be_spent_on_an_account_without_a_limit():
    """Unknown accounts are refused, whatever else is named."""
    run("""
        account A 100
        reserve T1 A,B 1 -> denied ACCOUNT_UNKNOWN B 0
        sums A 0 0 0
        reserve T1 A 1 -> ok 99
    """)


def test_a_repeat_gives_the_stored_answer():
    """Same id, same content: replayed, counted once. Same id, other content: named mismatch."""
    run("""
        account A 100
        account B 100
        reserve T1 A 60 -> ok 40
        reserve T1 A 60 -> replayed 40
        sums A 0 60 0
        reserve T1 A 61 -> mismatch amount_nano_usd
        reserve T1 B 60 -> mismatch account_ids
        reserve T1 A 60 other -> mismatch model
        settle T1 10 -> POSTED
        settle T1 10 -> POSTED
        settle T1 11 -> CONFLICT
        settle T1 0 -> CONFLICT
        reserve T1 A 60 -> denied RESERVATION_ENDED A 0
        sums A 10 0 0
    """)


def test_a_released_reservation_stays_released():
    """Void is an end like any other."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        settle T1 0 -> RELEASED
        settle T1 0 -> RELEASED
        settle T1 5 -> CONFLICT
        settle T9 5 -> NOT_FOUND
        settle T1 0 trace-T2 -> CONFLICT
        settle T1 0 trace-T1 -> RELEASED
        sums A 0 0 0
    """)


def test_a_denial_leaves_nothing_behind():
    """A later try with the same id is decided anew."""
    run("""
        account A 100
        reserve T1 A 101 -> denied BUDGET_EXHAUSTED A 100
        limit A 200
        reserve T1 A 101 -> ok 99
    """)


def test_the_truth_is_posted_even_above_the_limit_and_freezes():
    """An overrun is posted and reported; a repeat says the same.

    An account above its limit takes nothing, until its limit covers what was spent.
    """
    run("""
        account A 100
        account B 1000
        reserve T1 A,B 60 -> ok 40
        reserve T2 A 40 -> ok 0
        settle T1 75 -> POSTED 15
        settle T1 75 -> POSTED 15
        sums A 75 40 0 frozen
        sums B 75 0 0
        reserve T3 B 1 -> ok 924
        settle T3 0 -> RELEASED
        settle T2 40 -> POSTED
        sums A 115 0 0 frozen
        limit A 114
        reserve T4 A 0 -> denied ACCOUNT_FROZEN A 0
        limit A 120
        reserve T4 A 5 -> ok 0
    """)


def test_a_timeout_is_quarantined_and_still_counted():
    """No automatic refund: only the truth, or an operator, frees the money."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        quarantine T1 -> -
        tick 59
        quarantine T1 -> -
        tick 1
        quarantine T1 -> marked
        quarantine T1 -> -
        sums A 0 60 60
        reserve T2 A 41 -> denied BUDGET_EXHAUSTED A 40
        settle T1 20 -> POSTED_LATE
        settle T1 20 -> POSTED_LATE
        settle T1 21 -> CONFLICT
        sums A 20 0 0
        reserve T1 A 60 -> denied RESERVATION_ENDED A 0
    """)


def test_a_quarantined_reservation_may_be_released_or_overrun():
    """The truth may be nothing, or more than was reserved."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        reserve T2 A 40 -> ok 0
        tick 60
        quarantine T1 -> marked
        quarantine T2 -> marked
        settle T1 0 -> RELEASED
        settle T2 70 -> POSTED_LATE 30
        sums A 70 0 0
    """)


def test_an_operator_resolves_only_what_timed_out():
    """Resolving is idempotent by amount, and refuses what is still on its way."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        reserve T2 A 10 -> ok 30
        resolve T1 5 -> NOT_QUARANTINED
        resolve T9 5 -> NOT_FOUND
        tick 60
        quarantine T1 -> marked
        resolve T1 5 -> RESOLVED
        resolve T1 5 -> RESOLVED
        resolve T1 6 -> CONFLICT
        settle T1 5 -> POSTED_LATE
        settle T2 5 -> POSTED
        resolve T2 5 -> NOT_QUARANTINED
        sums A 10 0 0
    """)


def test_more_than_was_reserved_is_resolved_only_when_it_is_meant():
    """A slip of the pen must not freeze an account; the true cost may, if it is said to be that."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        tick 60
        quarantine T1 -> marked
        resolve T1 600 -> ABOVE_RESERVE
        resolve T1 61 -> ABOVE_RESERVE
        sums A 0 60 60
        resolve T1 110 above -> RESOLVED
        resolve T1 110 -> RESOLVED
        sums A 110 0 0 frozen
    """)


def test_a_limit_below_use_freezes_until_it_covers_what_is_in_use():
    """What was spent cannot be undone; nothing may be added, and settling goes on."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        limit A 50
        sums A 0 60 0 frozen
        reserve T2 A 1 -> denied ACCOUNT_FROZEN A 0
        settle T1 30 -> POSTED
        sums A 30 0 0
        reserve T2 A 20 -> ok 0
        limit A 60
        reserve T3 A 10 -> ok 0
    """)


def test_a_new_month_starts_at_nothing_and_the_old_keeps_its_own():
    """Pending of the old month is settled there; a freeze does not outlive its month."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        reserve T2 A 40 -> ok 0
        settle T2 45 -> POSTED 5
        month 202612
        reserve T3 A 100 -> ok 0
        settle T1 10 -> POSTED
        reserve T1 A 60 -> denied RESERVATION_ENDED A 0
        sums A@202611 55 0 0
        sums A@202612 0 100 0
    """)


def test_steps_of_one_batch_are_decided_in_their_order():
    """First come, first served; a refusal between them changes nothing for the next."""
    windows = {("A", 202611): open_window("A", 202611, 100)}
    book = Book(windows, {})
    steps = [
        Reserve(f"T{n}", ("A",), amount, 1000, "t", "r", "m")
        for n, amount in enumerate((70, 40, 30))
    ]
    steps += [Settle("T0", 5), Settle("T0", 5), Settle("T9", 5)]
    outcomes = book.apply(steps, month=202611, now_ms=0)
    assert ["Reserved", "Denied", "Reserved", *["Settled"] * 3] == [
        type(o).__name__ for o in outcomes
    ]
    # Reserved and settled in one batch: it is one new row, not a new and a changed one.
    assert ({"T0", "T2"}, set()) == (set(book.new_transfers), set(book.changed_transfers))
    book.check()


def test_the_check_sees_a_wrong_sum():
    """The assert before every write is alive: more than the ceiling is refused."""
    window = open_window("A", 202611, 100)
    window.pending = 101
    book = Book({("A", 202611): window}, {}, changed_windows={("A", 202611): window})
    with pytest.raises(AssertionError, match="cap was exceeded"):
        book.check()
