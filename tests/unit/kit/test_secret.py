import copy
import json
import pickle

import pytest

from tollgate_kit.secret import Secret, SecretInFile

CANARY = "sk-canary-1234567890"


@pytest.mark.parametrize(
    "show", [repr, str, lambda s: f"{s}", lambda s: f"{s!r:>40}", lambda s: f"{[s]}", format]
)
def test_no_way_of_printing_shows_a_secret(show):
    """A Secret never stands in text, however it is formatted."""
    assert CANARY not in show(Secret(CANARY))


@pytest.mark.parametrize("leak", [pickle.dumps, copy.deepcopy, hash, json.dumps])
def test_a_secret_cannot_be_serialised_or_hashed(leak):
    """A Secret cannot leave the process or become a key of a dump by accident."""
    with pytest.raises(TypeError):
        leak(Secret(CANARY))


def test_a_secret_shows_itself_on_purpose_only():
    """reveal() gives the value back, as text or bytes, and equality works without it."""
    secret = Secret(CANARY)
    assert (CANARY, CANARY.encode()) == (secret.reveal(), secret.reveal_bytes())
    assert secret == Secret(CANARY.encode())
    assert secret != Secret("other")


def test_a_secret_in_a_file_is_read_anew(tmp_path):
    """What the file says now is the secret; while it says nothing, what was read last."""
    path = tmp_path / "dsn"
    path.write_text("first\n")
    secret = SecretInFile(path)
    assert "first" == secret.reveal()
    path.write_text("second\n")
    assert ("second", b"second") == (secret.reveal(), secret.reveal_bytes())
    for spoil in (lambda: path.write_text(""), lambda: path.write_bytes(b"\xff"), path.unlink):
        spoil()
        assert "second" == secret.reveal()
    assert "second" not in repr(secret)
    with pytest.raises(OSError, match="No such file"):
        SecretInFile(path)
