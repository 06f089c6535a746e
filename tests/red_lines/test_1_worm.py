"""Red line 1: nothing leaves without evidence, and evidence cannot be taken away unseen."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.live import Live, own_suite, wait_until


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A suite of its own: this module stops its audit."""
    with own_suite(tmp_path_factory.mktemp("worm"), edges=1) as live:
        yield live


def leaves(live: Live) -> list[dict]:
    return [json.loads(entry.leaf) for entry in live.entries()]


def of(live: Live, trace_id: str) -> list[dict]:
    return [leaf for leaf in leaves(live) if leaf["trace_id"] == trace_id]


def test_every_call_has_its_entries_and_its_receipt(own: Live):
    """A call leaves CALL_ADMITTED, then CALL_FINISHED, and a receipt with the finished index."""
    key, model = own.key(own.tenant()), own.model("demo-gpt")
    answer = own.call(key, model)
    trace_id = answer.headers["x-request-id"]
    admitted, finished = of(own, trace_id)
    assert ("CALL_ADMITTED", "CALL_FINISHED") == (admitted["kind"], finished["kind"])
    assert admitted["payload"]["reservation_id"] == finished["payload"]["reservation_id"]
    receipt = own.receipt(key, trace_id).json()
    assert finished["payload"]["cost_nano_usd"] == receipt["cost_nano_usd"]
    assert str(receipt["audit_index"]) == answer.headers["x-tollgate-receipt"]


def test_the_log_holds_no_name_key_prompt_or_answer(own: Live):
    """Entries hold ids, numbers and pseudonyms: no prompt, no answer, no key, no key id as subject."""
    key, model = own.key(own.tenant()), own.model("demo-gpt")
    prompt = "canary-prompt-7261"
    answer = own.call(key, model, messages=[{"role": "user", "content": prompt}])
    text = answer.json()["choices"][0]["message"]["content"]
    log = b"\n".join(entry.leaf for entry in own.entries()).decode()
    for word in (prompt, text, key.text, key.text.split("_")[1]):
        assert word not in log
    assert all(key.key_id not in leaf.get("subject", "") for leaf in leaves(own))


def test_admin_changes_are_entries_before_their_effect(own: Live):
    """Tenant, key, provider, price and limit changes are in the log, by ids, and say who made them."""
    tenant = own.tenant()
    own.revoke(own.key(tenant))
    own.model("demo-gpt")
    changes = {
        "TENANT_CHANGED", "KEY_ISSUED", "KEY_REVOKED", "PROVIDER_CHANGED", "PRICE_CHANGED",
        "BUDGET_CHANGED",
    }  # fmt: skip
    found = [leaf for leaf in leaves(own) if leaf["kind"] in changes]
    assert changes == {leaf["kind"] for leaf in found}
    assert {"operator"} == {leaf["payload"]["actor"] for leaf in found}
    assert all(leaf["payload"]["request_id"] == leaf["trace_id"] for leaf in found)


def test_without_audit_no_byte_of_an_answer_leaves(own: Live):
    """Audit under SIGSTOP: streams and plain calls get 503 and nothing of the model's answer."""
    key = own.key(own.tenant())
    model = own.models({"s": "demo-drip-5"})["s"]
    assert 200 == own.call(key, model).status_code
    own.suite.signal("audit", signal.SIGSTOP)
    try:
        for stream in (False, True):
            answer = own.call(key, model, stream=stream, timeout=60)
            assert 503 == answer.status_code
            assert "choices" not in answer.text
    finally:
        own.suite.signal("audit", signal.SIGCONT)
    wait_until(lambda: own.call(key, model).status_code == 200, 15)


def test_with_audit_dead_admin_changes_nothing(own: Live):
    """No audit, no action: an admin RPC is refused and the state is unchanged."""
    import grpc

    tenant = own.tenant(5)
    own.suite.kill("audit")
    try:
        with pytest.raises(grpc.RpcError):
            own.set_limit(f"tenant:{tenant}", 500)
        assert 5_000_000_000 == own.account(f"tenant:{tenant}").limit_nano_usd
    finally:
        own.suite.start_one("audit")


def test_entries_cannot_be_changed_in_the_store(own: Live):
    """Audit's own login can neither update, delete nor truncate what was appended."""
    databases = own.suite.describe()["databases"]
    assert isinstance(databases, dict)
    own.call(own.key(own.tenant()), own.model("demo-gpt"))
    with psycopg.connect(databases["audit"], autocommit=True) as connection:
        (table,) = connection.execute(
            "select table_name from information_schema.columns where column_name = 'leaf' "
            "and table_schema = 'public'"
        ).fetchone()  # type: ignore[misc]
        for statement in (
            f"delete from {table}",
            f"update {table} set leaf = ''::bytea",
            f"truncate {table}",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)


def published(live: Live) -> Path:
    """The WORM directory once everything appended so far is published."""
    size = len(live.entries())

    def done() -> bool:
        checkpoint = live.suite.home.worm / "checkpoint"
        return checkpoint.exists() and int(checkpoint.read_text().splitlines()[1]) >= size

    wait_until(done, 10)
    return live.suite.home.worm


def test_the_log_is_published_within_seconds_and_verifies_offline(own: Live):
    """The directory alone, copied elsewhere, verifies; locked files are read-only."""
    own.call(own.key(own.tenant()), own.model("demo-gpt"))
    began = time.monotonic()
    published(own)
    assert time.monotonic() - began < 5
    assert 0 == own.cli("audit", "verify").returncode


def test_a_flipped_bit_in_any_published_file_is_found(own: Live, tmp_path):
    """One bit changed in each published file in turn: the verifier is red every time."""
    source = published(own)
    assert 0 == own.cli("audit", "verify", "--json").returncode
    files = sorted(p.relative_to(source) for p in source.rglob("*") if p.is_file())
    # Partial tiles and bundles that a later one replaces are not evidence any more.
    chosen = [f for f in files if ".p" not in f.as_posix() or f == files[-1]][:40]
    arguments = verify_arguments(own)
    for number, name in enumerate(chosen):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(source, copy)
        target = copy / name
        target.chmod(0o600)
        data = bytearray(target.read_bytes())
        data[len(data) // 2] ^= 1
        target.write_bytes(data)
        assert 0 != verify(copy, arguments), name
        shutil.rmtree(copy)


def verify_arguments(live: Live) -> list[str]:
    """Where the verifier finds the log's public key."""
    keys = sorted(live.suite.home.root.rglob("*vkey*"))
    assert keys
    return ["--key", keys[0].read_text().strip()]


def verify(directory: Path, arguments: list[str]) -> int:
    return subprocess.run(
        [sys.executable, "-m", "tollgate_tlog.fsck", str(directory), *arguments],
        capture_output=True, check=False,
    ).returncode  # fmt: skip


def test_case_R5_a_checkpoint_that_was_kept_proves_that_nothing_was_taken_away(own: Live, tmp_path):
    """`audit checkpoint --save`, later `audit verify --checkpoint`: growth holds, a roll-back is named."""
    key, model, kept = own.key(own.tenant()), own.model("demo-gpt"), tmp_path / "kept"
    for _ in range(3):
        own.call(key, model)
        published(own)
    older = shutil.copytree(own.suite.home.worm, tmp_path / "older")
    own.call(key, model)
    published(own)
    saved = own.cli("audit", "checkpoint", "--save", str(kept))
    assert 0 == saved.returncode, saved.stderr
    assert kept.read_bytes() == own.cli("audit", "checkpoint").stdout.encode()
    assert 0 != own.cli("audit", "checkpoint", "--save", str(kept)).returncode
    own.call(key, model)
    published(own)
    grown = own.cli("audit", "verify", "--checkpoint", str(kept))
    assert 0 == grown.returncode, grown.stdout
    arguments = verify_arguments(own)
    rolled = own.cli("audit", "verify", str(older), *arguments, "--checkpoint", str(kept))
    assert 0 == own.cli("audit", "verify", str(older), *arguments).returncode
    assert (1, True) == (rolled.returncode, "rolled back" in rolled.stdout)
    middle = sorted(older.glob("checkpoints/*"), key=lambda path: int(path.name))[-2]
    middle.unlink()
    named = own.cli("audit", "verify", str(older), *arguments)
    assert (1, True) == (named.returncode, f"checkpoints/{middle.name}" in named.stdout)


def test_receipts_of_other_tenants_do_not_exist(own: Live):
    """A trace id of another tenant answers 404, as one that never was."""
    model = own.model("demo-gpt")
    mine, other = own.key(own.tenant()), own.key(own.tenant())
    trace_id = own.call(mine, model).headers["x-request-id"]
    assert (200, 404) == (
        own.receipt(mine, trace_id).status_code, own.receipt(other, trace_id).status_code,
    )  # fmt: skip
    unknown = httpx.get(
        f"{own.api_urls[0]}/v1/receipts/nope", headers={"authorization": f"Bearer {mine.text}"}
    )
    assert 404 == unknown.status_code


def test_verify_covers_what_was_just_called_or_says_that_it_does_not(own: Live):
    """Calls that were answered a moment ago are in the report; without audit it says what it is."""
    key, model = own.key(own.tenant()), own.model("demo-gpt")
    before = json.loads(own.cli("audit", "verify", "--json").stdout)
    for _ in range(2):
        assert 200 == own.call(key, model).status_code
    verified = own.cli("audit", "verify", "--json")
    report = json.loads(verified.stdout)
    assert (0, 2) == (
        verified.returncode, report["facts"]["calls_finished"] - before["facts"]["calls_finished"]
    )  # fmt: skip
    own.suite.signal("audit", signal.SIGSTOP)
    try:
        alone = own.cli("audit", "verify")
    finally:
        own.suite.signal("audit", signal.SIGCONT)
    assert (0, True) == (alone.returncode, "only what is published" in alone.stderr)
