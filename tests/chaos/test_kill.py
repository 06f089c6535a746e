"""kill -9 of every service under load, three times each; then money and evidence are checked."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live, own_suite, wait_until
from tests.load import Load
from tests.red_lines.test_2_hard_cap import Sampler
from tollgate.budget.v1 import budget_pb2

ROUNDS = 3
SERVICES = ("edge-api", "edge-api-2", "authz", "budget", "router", "audit")


@pytest.fixture(scope="module")
def chaotic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A suite of its own: this module kills it."""
    with own_suite(tmp_path_factory.mktemp("chaos"), edges=2) as live:
        yield live


@pytest.fixture(scope="module")
def after_the_storm(chaotic: Live) -> tuple[Live, str, Load, Sampler]:
    """Every service killed three times while clients call; the load then ended in good order."""
    live = chaotic
    model = live.model("demo-drip-2")
    key = live.key(live.tenant(50))
    account_id = f"tenant:{key.tenant_id}"
    sampler = Sampler(live, account_id, tolerant=True)
    with sampler, Load(live.api_urls, key.text, model) as load:
        wait_until(lambda: load.good_since(0), 10)
        for _ in range(ROUNDS):
            for service in SERVICES:
                time.sleep(0.3)
                live.suite.kill(service)
                time.sleep(0.3)
                live.suite.start_one(service)
                moment = time.monotonic()
                wait_until(lambda m=moment: load.good_since(m), 20)
    return live, account_id, load, sampler


def facts(live: Live) -> dict[str, dict[str, dict]]:
    """The log's call entries: kind → trace id → payload."""
    found: dict[str, dict[str, dict]] = {}
    for entry in live.entries():
        leaf = json.loads(entry.leaf)
        found.setdefault(leaf["kind"], {})[leaf["trace_id"]] = leaf["payload"]
    return found


def test_promise_04_the_cap_holds_through_every_kill(after_the_storm):
    """At every sample posted + pending ≤ limit, and the store's own check agrees."""
    live, account_id, _, sampler = after_the_storm
    assert len(sampler.samples) > 50
    assert [] == [s for s in sampler.samples if s[0] + s[1] > s[2]]
    account = live.account(account_id)
    transfers = live.transfers(account_id)
    posted = sum(t.posted_nano_usd for t in transfers)
    held = sum(
        t.reserved_nano_usd
        for t in transfers
        if t.state in (budget_pb2.TRANSFER_STATE_PENDING, budget_pb2.TRANSFER_STATE_QUARANTINED)
    )
    assert (posted, held) == (account.posted_nano_usd, account.pending_nano_usd)


def test_trust_62_every_call_that_sent_a_byte_has_its_entry(after_the_storm):
    """No byte of an answer left an edge without CALL_ADMITTED, no end without FINISHED."""
    live, _, load, _ = after_the_storm
    found = facts(live)
    served = [s for s in load.seen if s.status == 200 and s.got_bytes]
    assert len(served) > 200
    assert [] == [s.trace_id for s in served if s.trace_id not in found["CALL_ADMITTED"]]
    ended = [s for s in served if s.complete]
    assert [] == [s.trace_id for s in ended if s.trace_id not in found["CALL_FINISHED"]]


def test_quarantine_explains_what_money_and_evidence_do_not_share(after_the_storm):
    """Ledger and log agree call by call; what they do not share is held, not lost or charged."""
    live, account_id, _, _ = after_the_storm
    found = facts(live)
    finished = {p["reservation_id"]: p for p in found["CALL_FINISHED"].values()}
    admitted = {p["reservation_id"] for p in found["CALL_ADMITTED"].values()}
    transfers = {t.reservation_id: t for t in live.transfers(account_id)}
    held = (budget_pb2.TRANSFER_STATE_PENDING, budget_pb2.TRANSFER_STATE_QUARANTINED)
    unexplained = []
    for reservation_id, transfer in transfers.items():
        entry = finished.get(reservation_id)
        if transfer.state in held:
            continue  # counted against the cap until somebody posts the truth
        if transfer.posted_nano_usd and reservation_id not in admitted:
            unexplained.append((reservation_id, "charged without an entry"))
        if entry and entry["charged"] and entry["cost_nano_usd"] != transfer.posted_nano_usd:
            unexplained.append((reservation_id, "another amount than the log says"))
    assert [] == unexplained
    assert set(finished) <= set(transfers)
    left = [t for t in transfers.values() if t.state in held]
    # At most what was in flight at the kills of edges and router: 8 clients, 9 kills.
    assert len(left) <= 8 * ROUNDS * 3


def test_the_log_verifies_after_every_kill(after_the_storm):
    """tollgate audit verify: every hash, signature and sequence holds after 18 kills."""
    live, _, _, _ = after_the_storm
    time.sleep(2)
    result = live.cli("audit", "verify", "--json")
    assert 0 == result.returncode, result.stdout + result.stderr


def test_nothing_is_left_behind(after_the_storm):
    """After the storm each service runs once, under the process id the suite knows."""
    live, _, _, _ = after_the_storm
    pids = {name: live.suite.pid(name) for name in live.suite.names}
    assert all(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert len(set(pids.values())) == len(pids)
