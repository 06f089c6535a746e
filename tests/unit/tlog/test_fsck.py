"""tollgate-verify: what holds is said to hold, what is planted is found."""

import io
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.tlog import build
from tollgate_tlog import checkpoint, fsck, ledger_check, merkle
from tollgate_tlog.checkpoint import Checkpoint


def run(root, *options) -> tuple[int, dict]:
    out = io.StringIO()
    code = fsck.main(
        [str(root), "--key", str(build.KEY), "--json", *options],
        out=out,
        now_ns=lambda: build.NOW_UNIX_MS * 1_000_000,
    )
    return code, json.loads(out.getvalue()) if out.getvalue() else {}


def faults(root, *options) -> set[str]:
    """Kinds of faults found; the exit code must agree."""
    code, report = run(root, *options)
    assert code == (1 if report["faults"]["by_kind"] else 0)
    return set(report["faults"]["by_kind"])


@pytest.fixture
def log(tmp_path):
    """600 entries: two full bundles and a partial one, four checkpoints."""
    build.publish(tmp_path, build.calls(300), sizes=[0, 100, 256, 511, 600])
    return tmp_path


def test_a_good_log_holds(log):
    """An honest log gives exit 0, its facts and the charged sums."""
    code, report = run(log)
    assert (code, report["faults"]["total"], report["observations"]["total"]) == (0, 0, 0)
    assert report["facts"]["entries"] == 600
    assert report["facts"]["checkpoints"] == 5
    assert report["facts"]["calls_finished"] == 300
    assert report["charged_nano_usd"] == {"key:K1": 2100, "tenant:T1": 2100}


def test_every_flipped_bit_is_found(log):
    """One flipped bit in any stored file, wherever it is, breaks the evidence."""
    for path in sorted(p for p in log.rglob("*") if p.is_file()):
        good = path.read_bytes()
        for at in {0, len(good) // 2, len(good) - 1, len(good) - 3}:
            bad = bytearray(good)
            bad[at] ^= 1
            path.write_bytes(bad)
            assert run(log)[0] == 1, f"{path} byte {at}"
        path.write_bytes(good)
    assert run(log)[0] == 0


def test_every_deleted_file_that_is_needed_is_found(log):
    """A missing bundle, tile or checkpoint is a fault; an old partial tile may be gone."""
    needed = ["checkpoint", "tile/0/001", "tile/entries/000", "tile/entries/002.p/88"]
    needed += ["tile/1/000.p/2", "tile/0/002.p/88"]
    for path in needed:
        good = (log / path).read_bytes()
        (log / path).unlink()
        assert run(log)[0] == 1, path
        (log / path).write_bytes(good)
    (log / "tile/entries/000.p/100").unlink()
    assert run(log)[0] == 0


def test_a_dropped_entry_is_found(tmp_path):
    """Leaving one entry out of the bundles breaks the tree even if the bundle is well-formed."""
    entries = build.calls(10)
    build.publish(tmp_path, entries)
    other = tmp_path / "other"
    build.publish(other, [*entries[:4], *entries[5:], build.entry("LOGIN", 21, {})])
    (tmp_path / "tile/entries/000.p/20").write_bytes((other / "tile/entries/000.p/20").read_bytes())
    for path in sorted(other.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert {"tile", "root"} <= faults(tmp_path)


def test_a_forged_checkpoint_is_found(log):
    """A checkpoint by another key is a fault; so is one by the right key over another tree."""
    head = Checkpoint(build.ORIGIN, 300, merkle.root([merkle.leaf_hash(b"x")]))
    build.write(log, head.path, build.sign(head, Ed25519PrivateKey.generate()))
    assert faults(log) == {"checkpoint"}
    build.write(log, head.path, build.sign(head))
    assert faults(log) == {"root"}


def test_a_checkpoint_under_another_name_is_found(log):
    """A checkpoint must stand at its own size, and the newest must have its locked copy."""
    (log / "checkpoints/512").write_bytes((log / "checkpoints/511").read_bytes())
    assert faults(log) == {"checkpoint"}
    (log / "checkpoints/512").unlink()
    (log / "checkpoints/600").unlink()
    assert "checkpoint" in faults(log)


def test_a_crash_between_two_writes_is_only_noted(log):
    """A mutable checkpoint one behind, tiles past the newest and strays are observations."""
    (log / "checkpoint").write_bytes((log / "checkpoints/511").read_bytes())
    (log / "checkpoints/600").unlink()
    (log / "notes.txt").write_text("x")
    code, report = run(log)
    assert code == 0
    assert set(report["observations"]["by_kind"]) >= {"unpublished", "stray"}
    build.publish(log, build.calls(300), sizes=[600])
    (log / "checkpoint").write_bytes((log / "checkpoints/511").read_bytes())
    code, report = run(log)
    assert (code, report["observations"]["by_kind"]) == (0, {"stray": 1, "checkpoint_behind": 1})


@pytest.mark.parametrize(
    ("sequences", "found"),
    [([1, 2, 3], set()), ([1, 3], {"sequence"}), ([2], {"sequence"}), ([1, 1], {"sequence"})],
)
def test_a_producer_gap_or_repeat_is_found(tmp_path, sequences, found):
    """Sequences run 1, 2, 3, … per producer; anything else is a fault."""
    build.publish(tmp_path, [build.entry("LOGIN", number, {}) for number in sequences])
    assert found == faults(tmp_path)


def test_finished_without_admitted_is_found(tmp_path):
    """A call that ends without having been admitted, or ends twice, is a fault."""
    admitted, finished = build.call(0)
    again = build.entry("CALL_FINISHED", 3, json.loads(finished)["payload"], trace="trace0")
    build.publish(tmp_path, [admitted, finished, again])
    assert faults(tmp_path) == {"call"}
    alone = build.entry("CALL_FINISHED", 1, json.loads(finished)["payload"], trace="trace0")
    build.publish(tmp_path / "b", [alone])
    assert faults(tmp_path / "b") == {"call"}


def test_admitted_without_finished_is_noted_with_its_age(tmp_path):
    """A call without an end is listed with its age: exit 0, or 1 with --strict."""
    build.publish(tmp_path, build.calls(3)[:5])
    code, report = run(tmp_path)
    assert (code, report["facts"]["calls_open"]) == (0, 1)
    assert (
        "trace trace2, reservation r2: admitted 90 s ago"
        in (report["observations"]["first"][0]["message"])
    )
    assert faults(tmp_path, "--strict") == {"admitted_without_finished"}


@pytest.mark.parametrize(
    "leaf",
    [
        b"not json",
        build.entry("LOGIN", 1, {})[:-1] + b" }",
        build.entry("LOGIN", 1, {}).replace(b'"kind"', b'"Kind"'),
        build.entry("LOGIN", 1, {"a": 1}).replace(b'"a":1', b'"a":1.0'),
        build.entry("LOGIN", 1, {"a": 1}).replace(b'"a":1', b'"a":1,"a":1'),
        build.entry("LOGIN", 1, {"a": 1}).replace(b'"a":1', b'"a":NaN'),
        build.entry("LOGIN", 1, {}).replace(b'"sequence":1', b'"sequence":true'),
        build.entry("CALL_ADMITTED", 1, {"reservation_id": "r"}),
    ],
)
def test_a_malformed_entry_is_found(tmp_path, leaf):
    """An entry that is not canonical, or lacks what its kind must say, is a fault."""
    build.publish(tmp_path, [leaf])
    assert faults(tmp_path) == {"entry"}


def ledger(tmp_path, *rows) -> str:
    path = tmp_path.parent / f"{tmp_path.name}-ledger.json"
    path.write_text(json.dumps(rows))
    return str(path)


def row(number: int, posted: int = 7, **more) -> dict:
    return {"reservation_id": f"r{number}", "posted_nano_usd": posted} | more


def test_ledger_and_log_agree_or_not(tmp_path):
    """Each posted transfer has its charge and the other way round, to the nano-dollar."""
    build.publish(tmp_path, build.calls(2))
    accounts = {"account_ids": ["tenant:T1", "key:K1"], "state": "TRANSFER_STATE_POSTED"}
    pending = row(9) | {"state": "TRANSFER_STATE_PENDING"}
    good = [row(0, **accounts), row(1) | {"posted_nano_usd": "7"}, pending]
    assert faults(tmp_path, "--ledger", ledger(tmp_path, *good)) == set()
    for bad in (
        [row(0)],
        [row(0), row(1), row(2)],
        [row(0), row(1, 8)],
        [row(0), row(1), row(1)],
        [row(0), row(1, account_ids=["key:K1"])],
    ):
        assert faults(tmp_path, "--ledger", ledger(tmp_path, *bad)) == {"ledger"}


def test_an_uncharged_call_needs_no_transfer_and_a_resolution_explains_one(tmp_path):
    """charged=false posts nothing; an operator's resolution of a quarantine is evidence."""
    entries = build.call(0, charged=False)
    resolution = {"reservation_id": "r5", "amount_nano_usd": 3}
    build.publish(tmp_path, [*entries, build.entry("BUDGET_CHANGED", 3, resolution)])
    assert faults(tmp_path, "--ledger", ledger(tmp_path)) == set()
    assert faults(tmp_path, "--ledger", ledger(tmp_path, row(5, 3))) == set()
    assert faults(tmp_path, "--ledger", ledger(tmp_path, row(5, 4))) == {"ledger"}


def test_wrong_usage_is_2(tmp_path, capsys):
    """A wrong command is exit 2 with one line that says what is wrong."""
    build.publish(tmp_path, build.calls(1))
    bad_ledger = tmp_path.parent / "bad.json"
    bad_ledger.write_text('[{"reservation_id": 1}]')
    key = str(build.KEY)
    for arguments in (
        [],
        [str(tmp_path)],
        [str(tmp_path / "absent"), "--key", key],
        [str(tmp_path), "--key", "nonsense"],
        [str(tmp_path), "--key", key, "--ledger", str(bad_ledger)],
        [str(tmp_path), "--key", key, "--ledger", str(tmp_path / "absent")],
    ):
        assert fsck.main(arguments) == 2
        assert capsys.readouterr().err.startswith("tollgate-verify: ")


def test_an_empty_directory_is_no_evidence(tmp_path):
    """No checkpoint at all is broken, not vacuously fine."""
    assert faults(tmp_path) == {"checkpoint"}


def test_keys_from_a_file_and_words_for_a_person(log):
    """--key takes a file of keys; the words end with the verdict; the module runs as a command."""
    keys = log.parent / "keys"
    keys.write_text(f"{build.KEY}\n")
    command = [sys.executable, "-m", "tollgate_tlog.fsck", str(log), "--key", str(keys)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("OK: the evidence holds\n")
    assert "key:K1  0.000002100 USD" in done.stdout


def test_posted_money_is_never_a_float():
    """A transfer with a fraction is refused, and dollars are printed exactly."""
    with pytest.raises(ledger_check.LedgerError):
        ledger_check._transfer({"reservation_id": "r", "posted_nano_usd": 1.5})
    assert fsck.usd(-1_000_000_001) == "-1.000000001"


def test_one_hundred_thousand_entries_are_quick(tmp_path):
    """The verifier is linear: 100,000 entries in well under a minute."""
    build.publish(tmp_path, build.calls(50_000))
    code, report = run(tmp_path)
    assert (code, report["facts"]["entries"]) == (0, 100_000)


def test_case_R5_a_middle_checkpoint_that_was_deleted_is_named(log):
    """Every checkpoint but the newest: whichever is deleted is named by its path."""
    for size in (0, 100, 256, 511):
        path = log / f"checkpoints/{size}"
        good = path.read_bytes()
        path.unlink()
        code, report = run(log)
        (found,) = report["faults"]["first"]
        assert (1, "checkpoint_missing", f"checkpoints/{size}") == (
            code, found["kind"], found["where"],
        )  # fmt: skip
        path.write_bytes(good)
    assert run(log)[0] == 0


@pytest.mark.parametrize("size", [0, 1, 100, 256, 511, 600])
def test_case_R5_a_log_that_grew_extends_every_kept_checkpoint(log, tmp_path_factory, size):
    """Kept at any size, published there or not: the later log is an extension of it."""
    kept = tmp_path_factory.mktemp("kept") / "c"
    root = merkle.root([merkle.leaf_hash(leaf) for leaf in build.calls(300)[:size]])
    kept.write_bytes(build.sign(Checkpoint(build.ORIGIN, size, root)))
    code, report = run(log, "--checkpoint", str(kept), "--checkpoint", str(kept))
    assert (0, 2) == (code, report["facts"]["kept_checkpoints"])


def test_case_R5_a_consistent_roll_back_is_found_with_a_kept_checkpoint(tmp_path):
    """Log and tree put back together to an older state: clean by itself, broken with what was kept."""
    log, old, kept = tmp_path / "log", tmp_path / "old", tmp_path / "kept"
    build.publish(log, build.calls(300), sizes=[0, 256, 600])
    build.publish(old, build.calls(300), sizes=[0, 256])
    kept.write_bytes((log / "checkpoint").read_bytes())
    assert run(old)[0] == 0
    code, report = run(old, "--checkpoint", str(kept))
    (found,) = report["faults"]["first"]
    assert (1, "rolled_back") == (code, found["kind"])
    assert "rolled back" in found["message"]
    out = io.StringIO()
    fsck.main([str(old), "--key", str(build.KEY), "--checkpoint", str(kept)], out=out)
    assert "BROKEN" in out.getvalue()
    assert "rolled back" in out.getvalue()


def test_case_R5_a_history_that_was_rewritten_is_found_with_a_kept_checkpoint(tmp_path):
    """Another history of the same or a greater length, well signed: no extension of what was kept."""
    log, other, kept = tmp_path / "log", tmp_path / "other", tmp_path / "kept"
    build.publish(log, build.calls(100), sizes=[0, 100, 200])
    kept.write_bytes((log / "checkpoints/100").read_bytes())
    entries = [leaf for n in range(200) for leaf in build.call(n, cost=8)]
    for size in (100, 200, 400):
        build.publish(other, entries[:size], sizes=[0, size])
        assert faults(other) == set()
        assert faults(other, "--checkpoint", str(kept)) == {"kept_checkpoint"}


def test_case_R5_a_kept_checkpoint_that_proves_nothing_is_said(log, tmp_path_factory, capsys):
    """A file that is missing, no checkpoint, or signed by nobody known: exit 2, nothing is verified."""
    kept = tmp_path_factory.mktemp("kept") / "c"
    assert run(log, "--checkpoint", str(kept))[0] == 2
    for data in (b"", b"x", build.sign(Checkpoint(build.ORIGIN, 1, bytes(32)), Ed25519PrivateKey.generate())):  # fmt: skip
        kept.write_bytes(data)
        assert run(log, "--checkpoint", str(kept))[0] == 2
    assert "--checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["previous 5\n", "previous 6\n", "previous -1\n", "previous 01\n", "x\n"])  # fmt: skip
def test_case_R5_a_checkpoint_has_one_spelling(line):
    """The checkpoint before is smaller and written in one way; no other line is taken."""
    head = Checkpoint(build.ORIGIN, 5, bytes(32))
    assert head == checkpoint.parse(head.text)
    chained = Checkpoint(build.ORIGIN, 5, bytes(32), previous=4)
    assert chained == checkpoint.parse(chained.text)
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.parse(head.text + line)
