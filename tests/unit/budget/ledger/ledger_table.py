"""The ledger's rules as tables of text: one line a step and its result. A reviewer reads money.

account A LIMIT              open account A with a limit
limit A LIMIT                change it
reserve T A,B AMOUNT -> ...  ok LEFT | replayed LEFT | denied REASON SUBJECT LEFT | mismatch FIELD
settle T AMOUNT -> STATE [OVERRUN]
quarantine T -> marked | -
resolve T AMOUNT [above] -> RESULT
tick SECONDS                 time passes
month YYYYMM                 the next calendar month begins
sums A[@YYYYMM] POSTED PENDING QUARANTINED [frozen]
"""

from tollgate_budget.ledger.ledger import (
    Book,
    Denied,
    Mismatch,
    Quarantine,
    Quarantined,
    Reserve,
    Reserved,
    Resolve,
    Resolved,
    Settle,
    Settled,
)
from tollgate_budget.ledger.window import Window, open_window

TIMEOUT_S = 60


class Table:
    """Runs the lines against the real ledger; each batch is one step."""

    def __init__(self) -> None:
        self.windows: dict = {}
        self.transfers: dict = {}
        self.limits: dict = {}
        self.current = 202611
        self.now_ms = 1_000_000

    def run(self, text: str) -> None:
        for line in (line.strip() for line in text.strip().splitlines()):
            if line:
                step, _, expected = line.partition(" -> ")
                actual = getattr(self, step.split()[0])(*step.split()[1:])
                assert expected == (actual or ""), line

    def account(self, name, limit):
        self.limits[name] = int(limit)
        self._open(name)

    def limit(self, name, limit):
        self.limits[name] = int(limit)
        self._open(name).set_limit(int(limit))
        self._open(name).check()

    def reserve(self, name, accounts, amount, model="m"):
        names = tuple(accounts.split(","))
        for account in names:
            if account in self.limits:
                self._open(account)
        step = Reserve(name, names, int(amount), TIMEOUT_S * 1000, "t", f"trace-{name}", model)
        outcome = self._apply(step)
        if isinstance(outcome, Denied):
            return f"denied {outcome.reason.name} {outcome.subject} {outcome.left}"
        if isinstance(outcome, Mismatch):
            return f"mismatch {outcome.field}"
        assert isinstance(outcome, Reserved)
        return f"{'replayed' if outcome.replayed else 'ok'} {outcome.left}"

    def settle(self, name, amount, trace=""):
        outcome = self._apply(Settle(name, int(amount), trace))
        assert isinstance(outcome, Settled)
        return outcome.state.name + (f" {outcome.overrun}" if outcome.overrun else "")

    def quarantine_now(self, name, trace=""):
        outcome = self._apply(Settle(name, 0, trace, quarantine=True))
        assert isinstance(outcome, Settled)
        return outcome.state.name

    def quarantine(self, name):
        outcome = self._apply(Quarantine(name))
        assert isinstance(outcome, Quarantined)
        return "marked" if outcome.changed else "-"

    def resolve(self, name, amount, above_reserve=""):
        outcome = self._apply(Resolve(name, int(amount), above_reserve == "above"))
        assert isinstance(outcome, Resolved)
        return outcome.result.name

    def tick(self, seconds):
        self.now_ms += int(seconds) * 1000

    def month(self, month):
        self.current = int(month)

    def sums(self, name, posted, pending, quarantined, frozen=""):
        account, _, month = name.partition("@")
        window: Window = self.windows[account, int(month or self.current)]
        expected = (int(posted), int(pending), int(quarantined), frozen == "frozen")
        assert expected == (window.posted, window.pending, window.quarantined, window.frozen)

    def _open(self, name):
        key = (name, self.current)
        return self.windows.setdefault(key, open_window(name, self.current, self.limits[name]))

    def _apply(self, step):
        book = Book(self.windows, self.transfers)
        (outcome,) = book.apply([step], month=self.current, now_ms=self.now_ms)
        book.check()
        return outcome


def run(text: str) -> None:
    Table().run(text)
