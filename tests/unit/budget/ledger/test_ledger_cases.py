"""Inputs that once failed, as promises: what is frozen, held, ended, unknown, bound."""

from tests.unit.budget.ledger.ledger_table import run
from tollgate_budget.ledger.ledger import (
    Book,
    DenialReason,
    Denied,
    Mismatch,
    Reserve,
    Reserved,
    Terms,
)
from tollgate_budget.ledger.window import open_window


def test_case_M7_an_overrun_below_the_limit_freezes_nothing():
    """A bill above its reservation is posted and reported; what is left can still be spent."""
    run("""
        account A 100
        reserve T1 A 10 -> ok 90
        settle T1 11 -> POSTED 1
        sums A 11 0 0
        reserve T2 A 89 -> ok 0
    """)


def test_case_M7_an_account_is_frozen_only_while_it_is_above_its_limit():
    """What calls in flight give back opens it again; the ceiling comes down with it."""
    run("""
        account A 100
        reserve T1 A 50 -> ok 50
        reserve T2 A 50 -> ok 0
        settle T1 70 -> POSTED 20
        sums A 70 50 0 frozen
        reserve T3 A 1 -> denied ACCOUNT_FROZEN A 0
        settle T2 30 -> POSTED
        sums A 100 0 0
        reserve T3 A 1 -> denied BUDGET_EXHAUSTED A 0
        limit A 101
        reserve T3 A 1 -> ok 0
    """)


def test_case_M8_what_only_calls_in_flight_hold_is_told_apart_from_what_is_spent():
    """HELD comes back when they settle; EXHAUSTED does not, and names the account that is spent."""
    run("""
        account KEY 100
        account TENANT 1000
        reserve T1 KEY,TENANT 60 -> ok 40
        reserve T2 KEY,TENANT 41 -> denied BUDGET_HELD KEY 40
        settle T1 10 -> POSTED
        reserve T2 KEY,TENANT 41 -> ok 49
        reserve T3 KEY,TENANT 91 -> denied BUDGET_EXHAUSTED KEY 49
        quarantine_now T2 -> QUARANTINED
        reserve T4 KEY,TENANT 50 -> denied BUDGET_EXHAUSTED KEY 49
    """)


def test_case_M8_a_denial_says_how_much_is_held():
    """By calls in flight; what is in quarantine will not come back by waiting."""
    window = open_window("A", 202611, 100)
    window.posted, window.pending, window.quarantined = 10, 70, 20
    book = Book({("A", 202611): window}, {})
    (denied,) = book.apply([Reserve("T1", ("A",), 30, 1000, "t", "r", "m")], month=202611, now_ms=0)
    assert Denied(DenialReason.BUDGET_HELD, "A", 20, held=50) == denied


def test_case_M5_a_reservation_that_ended_opens_nothing_again():
    """Settled, released or quarantined: a repeat gets no token, whatever edge it comes from."""
    run("""
        account A 100
        reserve T1 A 10 -> ok 90
        settle T1 5 -> POSTED
        reserve T1 A 10 -> denied RESERVATION_ENDED A 0
        reserve T2 A 10 -> ok 85
        settle T2 0 -> RELEASED
        reserve T2 A 10 -> denied RESERVATION_ENDED A 0
        reserve T3 A 10 -> ok 85
        quarantine_now T3 -> QUARANTINED
        reserve T3 A 10 -> denied RESERVATION_ENDED A 0
        sums A 5 10 10
    """)


def test_case_M1_an_unknown_end_stays_counted_at_once():
    """Quarantined by the caller that saw it: counted, not billed, and open for the truth."""
    run("""
        account A 100
        reserve T1 A 60 -> ok 40
        quarantine_now T1 other -> CONFLICT
        quarantine_now T1 -> QUARANTINED
        quarantine_now T1 -> QUARANTINED
        sums A 0 60 60
        tick 60
        quarantine T1 -> -
        resolve T1 20 -> RESOLVED
        quarantine_now T1 -> CONFLICT
        sums A 20 0 0
    """)


def test_case_M4_a_repeat_on_other_terms_is_a_mismatch():
    """Input bound, output limit and price version belong to the reservation: the token binds them."""
    book = Book({("A", 202611): open_window("A", 202611, 100)}, {})
    first = Reserve("T1", ("A",), 10, 1000, "t", "r", "m", Terms(1, 2, 3))
    again = first._replace(terms=Terms(1, 2_000, 3))
    reserved, same, other = book.apply([first, first, again], month=202611, now_ms=0)
    assert isinstance(reserved, Reserved)
    assert isinstance(same, Reserved)
    assert isinstance(other, Mismatch)
    assert Terms(1, 2, 3) == same.transfer.terms
