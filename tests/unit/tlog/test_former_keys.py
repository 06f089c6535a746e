"""What a verifier believes when the log's key was changed: the newest key for the end of the log."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.tlog import build
from tollgate_tlog import checkpoint, fsck, note

OLD = build.PRIVATE_KEY
NEW = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
LINES = {key: note.VerifierKey(build.ORIGIN, key.public_key().public_bytes_raw()) for key in (OLD, NEW)}  # fmt: skip
SIZES = (0, 100, 256, 511, 600)


def sign(root, size, *keys):
    """Sign a checkpoint that is there with these keys instead."""
    path = root / f"checkpoints/{size}"
    text = note.parse(path.read_bytes()).text
    lines = [
        note.Signature(build.ORIGIN, LINES[key].key_id, key.sign(text.encode())) for key in keys
    ]
    path.write_bytes(note.encode(text, lines))
    (root / checkpoint.LATEST_PATH).write_bytes(path.read_bytes())


def faults(root, *keys):
    """The kinds of faults for a verifier with these lines, in this order."""
    lines = [LINES[key] for key in keys]
    return set(fsck.check(root, lines, now_unix_ms=build.NOW_UNIX_MS).faults.counts)


@pytest.fixture
def both(tmp_path):
    """A log whose newest checkpoint has both keys' signatures."""
    build.publish(tmp_path, build.calls(300), sizes=SIZES[:-1])
    sign(tmp_path, 511, NEW, OLD)
    return tmp_path


@pytest.fixture
def after(both):
    """The same, later: the new key signs alone."""
    build.publish(both, build.calls(300), sizes=SIZES)
    sign(both, 511, NEW, OLD)
    sign(both, 600, NEW)
    return both


def test_while_both_sign_nobody_refuses(both):
    """Who has the old line, and who has put the new one above it."""
    assert [set(), set()] == [faults(both, OLD), faults(both, NEW, OLD)]


def test_afterwards_the_lines_prove_the_whole_log(after):
    """What the old key signed is still read, with the new line above it."""
    assert set() == faults(after, NEW, OLD)
    assert "checkpoint" in faults(after, OLD)


def test_a_thief_of_the_old_key_adds_nothing(after):
    """A checkpoint at the end that the old key alone signed is refused, wherever it was cut off."""
    sign(after, 600, OLD)
    assert {"former_key"} == faults(after, NEW, OLD)
    build.publish(after, build.calls(301), sizes=[*SIZES, 602])
    for size in SIZES[:-2]:
        sign(after, size, OLD)
    sign(after, 511, NEW, OLD)
    sign(after, 600, NEW)
    sign(after, 602, OLD)
    assert {"former_key"} == faults(after, NEW, OLD)


def test_a_line_in_the_wrong_place_is_told(after):
    """Only the first line is believed for what is newest; the message says so."""
    report = fsck.check(after, [LINES[OLD], LINES[NEW]], now_unix_ms=0)
    assert ["former_key"] == list(report.faults.counts)
    assert "must be given first" in report.faults.kept[0].message
