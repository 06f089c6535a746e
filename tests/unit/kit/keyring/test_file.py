import shutil

import pytest

from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.base import DecryptFailed, KeyMissing, KeyringFault
from tollgate_kit.keyring.file import FileKeyring, change, create, names
from tollgate_kit.secret import Secret

KEYS = {"upstream-keys": "aes256", "reservation": "mac", "tlog": "ed25519"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A keyring file and its unlock file."""
    home = tmp_path_factory.mktemp("keyring")
    unlock = home / "unlock"
    unlock.write_text("correct horse")
    unlock.chmod(0o400)
    create(
        home / "ring.json", Secret("correct horse"), KEYS, given={"reservation": Secret(b"m" * 32)}
    )
    return home


@pytest.fixture(scope="module")
def ring(place):
    return FileKeyring.open(KeyringConfig(place / "ring.json", place / "unlock"))


async def test_encryption_is_bound_to_name_and_context(ring):
    """What is encrypted decrypts only under the same key and context: a moved row stays shut."""
    ciphertext = await ring.encrypt("upstream-keys", "t1|k1|https://a:443", Secret("sk-1"))
    assert Secret("sk-1") == await ring.decrypt("upstream-keys", "t1|k1|https://a:443", ciphertext)
    with pytest.raises(DecryptFailed):
        await ring.decrypt("upstream-keys", "t1|k1|https://evil:443", ciphertext)


async def test_an_altered_ciphertext_does_not_decrypt(ring):
    """Every altered character, and every malformed text, is refused."""
    ciphertext = await ring.encrypt("upstream-keys", "c", Secret("sk-1"))
    for position in range(4, len(ciphertext), 7):
        other = "A" if ciphertext[position] != "A" else "B"
        with pytest.raises(DecryptFailed):
            await ring.decrypt(
                "upstream-keys", "c", ciphertext[:position] + other + ciphertext[position + 1 :]
            )
    for text in ("", "tg1..", "x.y.z", ciphertext + "."):
        with pytest.raises(DecryptFailed):
            await ring.decrypt("upstream-keys", "c", text)


async def test_a_keyring_has_only_its_own_keys(ring):
    """A service without a key cannot decrypt, and a key of one kind does not serve as another."""
    with pytest.raises(KeyMissing):
        await ring.decrypt("pepper", "c", "tg1.AAAA.AAAA")
    with pytest.raises(KeyMissing):
        await ring.mac_key("upstream-keys")


async def test_given_keys_are_kept_and_signing_verifies(ring):
    """Two services can share a MAC key, and the public key verifies what was signed."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    assert Secret(b"m" * 32) == await ring.mac_key("reservation")
    public = Ed25519PublicKey.from_public_bytes(await ring.public_key("tlog"))
    public.verify(await ring.sign("tlog", b"note"), b"note")


def test_no_key_stands_in_the_file(place):
    """The file at rest holds no key bytes: the given one is searched for in raw and hex."""
    data = (place / "ring.json").read_bytes()
    assert (b"m" * 32 in data, (b"m" * 32).hex().encode() in data) == (False, False)
    assert oct(0o600) == oct((place / "ring.json").stat().st_mode & 0o777)


def test_wrong_passphrase_loose_file_and_overwriting_are_refused(place, tmp_path):
    """A keyring opens only with its passphrase from a private file, and is never overwritten."""
    wrong = tmp_path / "wrong"
    wrong.write_text("battery staple")
    wrong.chmod(0o400)
    with pytest.raises(KeyringFault, match="wrong passphrase"):
        FileKeyring.open(KeyringConfig(place / "ring.json", wrong))
    wrong.chmod(0o644)
    with pytest.raises(KeyringFault, match="can be read by others"):
        FileKeyring.open(KeyringConfig(place / "ring.json", wrong))
    with pytest.raises(KeyringFault, match=r"read by others: chmod 0400; .*absent.json: FileNot"):
        FileKeyring.open(KeyringConfig(place / "absent.json", wrong))
    with pytest.raises(FileExistsError):
        create(place / "ring.json", Secret("x"), KEYS)


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644])
def test_a_keyring_that_others_can_read_is_refused(place, tmp_path, mode):
    """It is named, with what to do, and opens again afterwards: as what unlocks it, and any secret."""
    loose = tmp_path / "router.json"
    shutil.copy(place / "ring.json", loose)
    loose.chmod(mode)
    for read in (names, lambda path: FileKeyring.open(KeyringConfig(path, place / "unlock"))):
        with pytest.raises(KeyringFault, match=r"router\.json can be read by others: chmod 0400$"):
            read(loose)
    loose.chmod(0o400)
    assert FileKeyring.open(KeyringConfig(loose, place / "unlock"))


async def test_a_keyring_gets_keys_and_loses_them(tmp_path):
    """What is added opens and what is removed is gone; the others stay, and none is replaced."""
    path, unlock, file = tmp_path / "ring.json", Secret("horse"), tmp_path / "unlock"
    file.write_text("horse")
    file.chmod(0o400)
    create(path, unlock, {"pepper": "mac"}, given={"pepper": Secret(b"1" * 32)})
    change(path, unlock, add={"pepper-2": ("mac", Secret(b"2" * 32))})
    assert ["pepper", "pepper-2"] == names(path)
    ring = FileKeyring.open(KeyringConfig(path, file))
    assert [b"1" * 32, b"2" * 32] == [
        (await ring.mac_key(name)).reveal_bytes() for name in names(path)
    ]
    before = path.read_bytes()
    with pytest.raises(KeyringFault):
        change(path, unlock, add={"pepper": ("mac", Secret(b"3" * 32))})
    with pytest.raises(KeyringFault):
        change(path, Secret("another"), remove=["pepper"])
    assert before == path.read_bytes()
    change(path, unlock, remove=["pepper"])
    assert ["pepper-2"] == names(path)
    assert 0o600 == path.stat().st_mode & 0o777
