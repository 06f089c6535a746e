"""tollgate_tlog.note and .checkpoint against the published examples of the formats."""

import pytest

from tests.unit.tlog import build
from tollgate_tlog import checkpoint, ed25519, note
from tollgate_tlog.checkpoint import Checkpoint

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb"
    "6KE6RyyBwJnAM=\n"
)
ENOCH = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33"
    "WWd1RvMc+QQ=\n"
)


def open_(data: str, *vkeys: str) -> str:
    keys = [note.parse_key(vkey) for vkey in vkeys]
    return note.open_note(data.encode(), keys, ed25519.verify)[0]


def test_the_reference_note_verifies():
    """The example of Go's sumdb/note opens with its key, other signatures are ignored."""
    assert open_(TEXT + "\n" + PETER, VKEY) == TEXT
    assert open_(TEXT + "\n" + ENOCH + PETER, VKEY) == TEXT


def test_the_reference_note_is_rebuilt_byte_for_byte():
    """Parsing and encoding again gives the same bytes, key text included."""
    data = (TEXT + "\n" + PETER).encode()
    parsed = note.parse(data)
    assert data == note.encode(parsed.text, parsed.signatures)
    assert str(note.parse_key(VKEY)) == VKEY


def test_every_mangled_key_is_refused():
    """No substring and no changed byte of a verifier key is a verifier key."""
    mangled = {VKEY[i:j] for i in range(len(VKEY)) for j in range(i + 1, len(VKEY) + 1)} - {VKEY}
    mangled |= {VKEY[:i] + chr(ord(VKEY[i]) + 1) + VKEY[i + 1 :] for i in range(len(VKEY))}
    mangled.add("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    for vkey in mangled:
        with pytest.raises(note.NoteError):
            note.parse_key(vkey)


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        TEXT + "\n",
        TEXT + "\n" + PETER[:-1],
        "\x01" + TEXT + "\n" + PETER,
        TEXT + "\n" + PETER.replace("PeterNeumann", "Bad Name"),
        TEXT + "\n" + PETER.replace("PeterNeumann", "Bad+Name"),
        TEXT + "\n" + PETER + "Unexpected line.\n",
        TEXT + "\n" + PETER.replace("AM=", "AN="),
        TEXT + "\n" + PETER * 101,
        TEXT + "\n" + ENOCH,
        TEXT.replace("answer", "Answer") + "\n" + PETER,
        TEXT + "\n" + PETER.replace("ZJku", "ZJkv"),
    ],
)
def test_a_note_that_is_malformed_or_not_signed_is_refused(data):
    """Form, unknown signer, wrong signature: each refuses the note."""
    with pytest.raises(note.NoteError):
        open_(data, VKEY)


def test_not_utf8_is_refused():
    """Bytes that are not UTF-8 are no note."""
    with pytest.raises(note.NoteError):
        note.parse(b"\xff" + (TEXT + "\n" + PETER).encode())


def test_a_checkpoint_reads_back():
    """What was signed is what is read: origin, size, root."""
    head = Checkpoint("example.com/behind-the-sofa", 20_852_163, bytes(range(32)))
    assert head == checkpoint.parse(head.text)
    assert head.path == "checkpoints/20852163"
    opened, key = checkpoint.open_checkpoint(build.sign(head), [build.KEY], ed25519.verify)
    assert (opened, key) == (head, build.KEY)


@pytest.mark.parametrize(
    "text",
    [
        "o\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "o\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "o\n1\nCsUY\n",
        "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nextension\n",
        "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
    ],
)
def test_another_checkpoint_text_is_refused(text):
    """A checkpoint has three lines, each in one spelling."""
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.parse(text)
