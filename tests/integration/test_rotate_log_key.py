"""`tollgate rotate log-key`: killed between any two of its steps, run again, and it ends well.

As a command it kills itself (SIGKILL) before the N-th step of a rotation:
python -m tests.integration.test_rotate_log_key HOME begin|finish N
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Live, own_suite
from tollgate_cli import keyrings
from tollgate_cli.home import Home
from tollgate_cli.rotation import log_key
from tollgate_cli.rotation.running import Running
from tollgate_tlog import checkpoint, fsck, note


class KilledRunning(Running):
    """Dies before its N-th step."""

    left = 0

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def configure(self, *arguments) -> None:
        self._spend()
        super().configure(*arguments)
        self._spend()

    def reload(self, name: str) -> None:
        super().reload(name)
        self._spend()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with own_suite(tmp_path_factory.mktemp("log-key")) as live:
        yield live


def killed(own: Live, step: str, at: int) -> None:
    root = own.suite.home.root
    argv = [sys.executable, "-m", "tests.integration.test_rotate_log_key", str(root), step, str(at)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def rotated(own: Live, *options: str) -> None:
    done = own.cli("rotate", "log-key", *options)
    assert done.returncode == 0, (done.stdout, done.stderr)


def verified(directory: Path, *keys: str) -> bool:
    given = [part for key in keys for part in ("--key", key)]
    return fsck.main([str(directory), *given]) == 0


def grown(own: Live) -> None:
    """The log has an entry more, and it is published."""
    own.tenant()
    assert own.cli("audit", "verify").returncode == 0


def test_a_rotation_that_is_killed_anywhere_ends_well(own, tmp_path):
    """Verifiers refuse at no moment: with the suite's file, or with the old line until --finish."""
    home = own.suite.home
    grown(own)
    old = home.verifier_key.read_text().strip()
    shutil.copytree(home.worm, tmp_path / "bundle")
    for at in range(3):
        killed(own, "begin", at)
        grown(own)
        assert verified(home.worm, old), at
        own.suite.kill("audit")
        own.suite.start_one("audit")
    rotated(own)
    new, former = home.verifier_key.read_text().split()
    assert former == old
    assert keyrings.versions(home.keyrings, "audit") == {"tlog": [1, 2]}
    for at in range(6):
        killed(own, "finish", at)
        grown(own)
        own.suite.kill("audit")
        own.suite.start_one("audit")
    rotated(own, "--finish")
    rotated(own, "--finish")
    grown(own)
    assert keyrings.versions(home.keyrings, "audit") == {"tlog": [2]}
    assert home.verifier_key.read_text().split() == [new, old]
    # The new line proves all, in both: the old one only what it signed.
    assert verified(tmp_path / "bundle", old)
    assert verified(home.worm, new, old)
    assert not verified(home.worm, old)
    newest = note.parse((home.worm / checkpoint.LATEST_PATH).read_bytes())
    assert [line.key_id for line in newest.signatures] == [note.parse_key(new).key_id]
    told = [json.loads(e.leaf) for e in own.entries() if b"LOG_KEY_CHANGED" in e.leaf]
    assert {(new, old)} == {
        (entry["payload"]["verifier_key"], *entry["payload"]["former_keys"]) for entry in told
    }


if __name__ == "__main__":
    running = KilledRunning(Home(Path(sys.argv[1])))
    running.left = int(sys.argv[3])
    getattr(log_key, sys.argv[2])(running)
