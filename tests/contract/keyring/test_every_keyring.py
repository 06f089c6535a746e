"""What every keyring must do: the file's, Vault's, and the example of docs/keyring.md."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.contract.keyring import every
from tests.contract.keyring.every import KINDS, LOG, MAC, MAC_BYTES, NAME
from tests.contract.keyring.local_kms import LocalKms
from tollgate_kit.keyring.base import DecryptFailed, KeyMissing, KeyringAway, KeyringFault
from tollgate_kit.secret import Secret

KEY = Secret("sk-canary-7f3a")
CONTEXT = "t1|k1|https://api.example:443"


@pytest.fixture(params=KINDS)
async def ring(request, vault, tmp_path):
    async with every.opened(request.param, vault, tmp_path) as ring:
        yield ring


@pytest.mark.parametrize(
    ("plaintext", "context"),
    [(b"k", "c"), (bytes(range(256)), CONTEXT), (b"x" * 4096, "ü|\n|" + "c" * 500)],
)
async def test_what_was_encrypted_opens(ring, plaintext, context):
    """Any bytes under any context come back, and no two ciphertexts are equal."""
    texts = [await ring.encrypt(NAME, context, Secret(plaintext)) for _ in range(2)]
    assert texts[0] != texts[1]
    for text in texts:
        assert Secret(plaintext) == await ring.decrypt(NAME, context, text)


async def test_nothing_else_opens_and_nothing_is_told(ring):
    """A moved row, another host, a cut or foreign text: DecryptFailed, without a word of either."""
    ciphertext = await ring.encrypt(NAME, CONTEXT, KEY)
    foreign = ("", "x", "tg1.AAAA.AAAA", "vault:v1:" + "A" * 60, "kms1.AAAA", "kms1.", "a.b.c", "ü")
    wrong = [("t2|k1|https://api.example:443", ciphertext), (CONTEXT, ciphertext[:-5])]
    for context, text in [*wrong, *((CONTEXT, text) for text in foreign)]:
        with pytest.raises(DecryptFailed) as refused:
            await ring.decrypt(NAME, context, text)
        shown = f"{refused.value} {refused.value.__cause__!r}"
        assert [] == [s for s in (KEY.reveal(), ciphertext, context) if s in shown]


async def test_many_at_once_have_each_its_own_answer(ring):
    """A hundred together, and one that is spoilt: it fails alone."""
    texts = [await ring.encrypt(NAME, f"c{n}", Secret(b"key %d" % n)) for n in range(100)]
    texts[7] = texts[8]
    asked = (ring.decrypt(NAME, f"c{n}", text) for n, text in enumerate(texts))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(answers.pop(7), DecryptFailed)
    assert [Secret(b"key %d" % n) for n in range(100) if n != 7] == answers


async def test_keys_are_what_they_are_for(ring):
    """check() takes what is there, and names what is not there or of another kind as missing."""
    for name, kind in ((NAME, "aes256"), (MAC, "mac"), (LOG, "ed25519")):
        await ring.check(name, kind)
    for name, kind in (("gone", "aes256"), ("gone", "mac"), (NAME, "ed25519"), (LOG, "mac")):
        with pytest.raises(KeyMissing):
            await ring.check(name, kind)


async def test_a_key_that_is_not_there_does_nothing(ring):
    """Each operation with it is a KeyringFault, and no other exception."""
    for operation in (
        ring.encrypt("gone", "c", KEY),
        ring.decrypt("gone", "c", await ring.encrypt(NAME, "c", KEY)),
        ring.mac_key("gone"),
        ring.sign("gone", b"note"),
        ring.public_key("gone"),
    ):
        with pytest.raises(KeyringFault):
            await operation


async def test_the_key_for_hmac_is_32_bytes_and_stays(ring):
    """The same each time."""
    assert [Secret(MAC_BYTES)] * 2 == [await ring.mac_key(MAC), await ring.mac_key(MAC)]


async def test_a_signature_is_a_function_of_key_and_message(ring):
    """64 bytes that the public key verifies, the same for the same message (RFC 8032)."""
    public = await ring.public_key(LOG)
    signatures = [await ring.sign(LOG, b"note") for _ in range(2)]
    Ed25519PublicKey.from_public_bytes(public).verify(signatures[0], b"note")
    assert (32, 64, signatures[0]) == (len(public), len(signatures[0]), signatures[1])


async def test_the_example_is_short_and_says_when_it_is_away():
    """60 lines of code at most; a KMS that does not answer is away, and its words are not told."""
    assert len([line for line in every.example().splitlines() if line.strip()]) <= 60
    kms = LocalKms((NAME, MAC), (LOG,))
    ring = await every.of_example(kms)
    kms.is_away = True
    with pytest.raises(KeyringAway, match=r"^KMS is away$") as told:
        await ring.encrypt(NAME, "c", KEY)
    assert told.value.__cause__ is None
