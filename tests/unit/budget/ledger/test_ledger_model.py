"""A state machine drives the ledger and a model of a few lines; they may never disagree."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tollgate_budget.ledger.ledger import (
    Book,
    Denied,
    Quarantine,
    Reserve,
    Reserved,
    Resolve,
    Settle,
    Settlement,
)
from tollgate_budget.ledger.window import open_window

ACCOUNTS = ("key:a", "group:b", "tenant:c")
MONTHS = (202611, 202612)
AMOUNTS = st.integers(0, 60)
NAMES = st.sampled_from([f"T{n}" for n in range(12)])
CHOSEN = st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=3, unique=True).map(tuple)


class Model:
    """The ledger in its simplest words: lists that are added up each time they are asked."""

    def __init__(self) -> None:
        self.limits = dict.fromkeys(ACCOUNTS, 100)
        self.calls: dict[str, list] = {}  # name -> [accounts, month, reserved, state, posted]
        self.month = MONTHS[0]

    def used(self, account, month):
        mine = [c for c in self.calls.values() if account in c[0] and c[1] == month]
        return sum(c[4] if c[3] == "ended" else c[2] for c in mine)

    def reserve(self, name, accounts, amount):
        if name in self.calls:
            return None
        for account in accounts:
            if self.used(account, self.month) > self.limits[account]:
                return False
            if self.used(account, self.month) + amount > self.limits[account]:
                return False
        self.calls[name] = [accounts, self.month, amount, "open", 0]
        return True

    def end(self, name, amount):
        call = self.calls.get(name)
        if call is None:
            return None
        if call[3] == "ended":
            return amount == call[4]
        call[3:] = ["ended", amount]
        return True

    def limit(self, account, limit):
        self.limits[account] = limit


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.model = Model()
        self.windows: dict = {}
        self.transfers: dict = {}
        self.now_ms = 0
        self._open()

    def _open(self):
        for account in ACCOUNTS:
            key = (account, self.model.month)
            self.windows.setdefault(key, open_window(*key, self.model.limits[account]))

    def _apply(self, *steps):
        book = Book(self.windows, self.transfers)
        outcomes = book.apply(steps, month=self.model.month, now_ms=self.now_ms)
        book.check()
        return outcomes

    @rule(name=NAMES, accounts=CHOSEN, amount=AMOUNTS)
    def reserve(self, name, accounts, amount):
        (outcome,) = self._apply(Reserve(name, accounts, amount, 1000, "t", "r", "m"))
        expected = self.model.reserve(name, accounts, amount)
        if expected is None:
            ended = self.model.calls[name][3] == "ended"
            assert not (ended and isinstance(outcome, Reserved)), "what ended opens nothing"
        else:
            assert expected == (isinstance(outcome, Reserved) and not outcome.replayed)
            assert expected != isinstance(outcome, Denied)

    @rule(name=NAMES, amount=AMOUNTS)
    def settle(self, name, amount):
        first, again = self._apply(Settle(name, amount), Settle(name, amount))
        assert first == again
        refused = {None: Settlement.NOT_FOUND, False: Settlement.CONFLICT}
        expected = self.model.end(name, amount)
        assert (first.state is refused.get(expected)) == (not expected)

    @rule(name=NAMES)
    def quarantine_now(self, name):
        """Changes no sum that the model knows of."""
        (outcome,) = self._apply(Settle(name, 0, quarantine=True))
        call = self.model.calls.get(name)
        assert (outcome.state is Settlement.QUARANTINED) == (call is not None and call[3] == "open")

    @rule(name=NAMES)
    def quarantine(self, name):
        """Changes no sum that the model knows of."""
        self.now_ms += 2000
        self._apply(Quarantine(name))

    @rule(name=NAMES, amount=AMOUNTS)
    def resolve(self, name, amount):
        transfer = self.transfers.get(name)
        (outcome,) = self._apply(Resolve(name, amount, above_reserve=True))
        if transfer is not None and transfer.late:
            assert self.model.end(name, amount) == (outcome.result.name == "RESOLVED")

    @rule(account=st.sampled_from(ACCOUNTS), limit=st.integers(0, 150))
    def limit(self, account, limit):
        self.windows[account, self.model.month].set_limit(limit)
        self.model.limit(account, limit)

    @rule()
    def next_month(self):
        self.model.month = MONTHS[1]
        self._open()

    @invariant()
    def sums_agree_and_the_cap_holds(self):
        for (account, month), window in self.windows.items():
            window.check()
            assert self.model.used(account, month) == window.used
            assert window.frozen == (window.used > window.limit)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
