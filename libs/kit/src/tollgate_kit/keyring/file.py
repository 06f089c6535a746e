"""The keyring in a private file: keys wrapped with AES-256-GCM under a passphrase or a key file.

The wrapping key is scrypt(unlock, salt) (RFC 7914, N=2^15, r=8, p=1: ~100 ms and 32 MB once at
start). Each key is wrapped alone, bound to its name and kind. Ciphertexts are
"tg1.<base64url nonce>.<base64url ciphertext>" under a key derived per context with HKDF
(RFC 5869), so that a ciphertext moved to another row does not decrypt; of a later version of the
key, "upstream-keys-2", they are "tg2.<version>.<nonce>.<ciphertext>". The newest version encrypts.
"""

import base64
import contextlib
import json
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tollgate_kit.config import KeyringConfig
from tollgate_kit.keyring.base import (
    DecryptFailed,
    KeyMissing,
    KeyringFault,
    Kind,
    unversioned,
    versioned,
)
from tollgate_kit.keyring.private_file import read_private, settle
from tollgate_kit.secret import Secret

KINDS = get_args(Kind)
_KEY_BYTES = 32
_NONCE_BYTES = 12
_SALT_BYTES = 16
_FORMAT = "tollgate-keyring-1"
# The same keys, under what is to unlock them next.
_NEXT = "next"
_CIPHERTEXT = re.compile(r"(?:tg1|tg2\.([1-9][0-9]{0,8}))\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)")


def create(
    path: Path,
    unlock: Secret,
    keys: Mapping[str, str],
    *,
    given: Mapping[str, Secret] | None = None,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> None:
    """Write a new keyring with a fresh key per (name, kind); `given` sets some keys' bytes.

    Raises FileExistsError: a keyring is never overwritten, for what it encrypted would be lost.
    """
    salt = random_bytes(_SALT_BYTES)
    wrap = AESGCM(_wrapping_key(unlock, salt))
    entries = {}
    for name, kind in keys.items():
        key = given[name] if given and name in given else Secret(random_bytes(_KEY_BYTES))
        entries[name] = _entry(wrap, name, kind, key, random_bytes)
    _write(path, {"format": _FORMAT, "salt": salt.hex(), "keys": entries})


def fresh_key() -> Secret:
    """Make a key at random, for a keyring to be given."""
    return Secret(os.urandom(_KEY_BYTES))


def names(path: Path) -> list[str]:
    """The names of a keyring's keys, which are no secret. Raises KeyringFault."""
    return list(_document(path)["keys"])


def change(
    path: Path,
    unlock: Secret,
    *,
    add: Mapping[str, tuple[str, Secret]] | None = None,
    remove: Collection[str] = (),
) -> None:
    """Give a keyring more keys, name -> kind and 32 bytes, or take some away for ever.

    By rename: who opens it meanwhile has the old one or the new one. A key that is there is never
    replaced. Raises KeyringFault.
    """
    found, _ = _unlocked(_document(path), unlock, path)
    wrap = AESGCM(_wrapping_key(unlock, bytes.fromhex(found["salt"])))
    keys = {name: entry for name, entry in found["keys"].items() if name not in remove}
    for name, (kind, key) in (add or {}).items():
        if name in keys:
            raise KeyringFault(f"{path} has a key named {name}")
        keys[name] = _entry(wrap, name, kind, key, os.urandom)
    _replace(path, {"salt": found["salt"], "keys": keys})


def lock_anew(path: Path, unlock: Secret, fresh: Secret, keep: Callable[[], None]) -> None:
    """Have `fresh` unlock a keyring, and what did so until now no more. Raises KeyringFault.

    `keep` puts `fresh` in the place of `unlock`, at once or not at all. Whenever this ends, what
    stands in that place opens the keyring: in between, both do.
    """
    found, keys = _unlocked(_document(path), unlock, path)
    salt = os.urandom(_SALT_BYTES)
    wrap = AESGCM(_wrapping_key(fresh, salt))
    entries = {n: _entry(wrap, n, kind, key, os.urandom) for n, (kind, key) in keys.items()}
    locked = {"salt": salt.hex(), "keys": entries}
    _replace(path, {**found, _NEXT: locked})
    keep()
    _replace(path, locked)


def _replace(path: Path, document: Mapping[str, object]) -> None:
    """Write a keyring by rename, durably: the next thing done is what needs the new one."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    _write(fresh, {"format": _FORMAT, **document})
    fresh.replace(path)
    settle(path.parent)


def _entry(
    wrap: AESGCM, name: str, kind: str, key: Secret, random_bytes: Callable[[int], bytes]
) -> dict[str, str]:
    """One key as it stands in the file."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of key: {kind}")
    if len(key.reveal_bytes()) != _KEY_BYTES:
        raise ValueError(f"key {name} must have {_KEY_BYTES} bytes")
    nonce = random_bytes(_NONCE_BYTES)
    wrapped = wrap.encrypt(nonce, key.reveal_bytes(), f"{name}|{kind}".encode())
    return {"kind": kind, "nonce": nonce.hex(), "wrapped": wrapped.hex()}


def _write(path: Path, document: Mapping[str, object]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _document(path: Path) -> Any:
    """What stands in a keyring's file, which nobody else can read. Raises KeyringFault."""
    data = read_private(path).reveal_bytes()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise KeyringFault(f"{path}: {type(error).__name__}") from None
    if not isinstance(document, dict) or not isinstance(document.get("keys"), dict):
        raise KeyringFault(f"{path}: not a keyring file")
    return document


class FileKeyring:
    """A Keyring over one file; the keys live in this process's memory."""

    def __init__(self, keys: Mapping[str, tuple[str, Secret]]) -> None:
        self._keys = dict(keys)
        # Of each key that encrypts, the newest version.
        self._newest: dict[str, int] = {}
        for written, (kind, _) in keys.items():
            name, version = unversioned(written)
            if kind == "aes256":
                self._newest[name] = max(version, self._newest.get(name, 0))

    @classmethod
    def open(cls, config: KeyringConfig) -> "FileKeyring":
        """Unlock a keyring file. Raises KeyringFault; its text names files, no content."""
        path, unlock_file = config.path, config.unlock_file
        if path is None or unlock_file is None:
            raise KeyringFault("the configuration names no keyring file")
        unlock, document = None, None
        faults: list[str] = []
        try:
            unlock = read_private(unlock_file)
        except KeyringFault as fault:
            faults.append(str(fault))
        try:
            document = _document(path)
        except KeyringFault as fault:
            faults.append(str(fault))
        if unlock is None or faults:
            raise KeyringFault("; ".join(faults))
        return cls(_unlocked(document, unlock, path)[1])

    def anew(self, config: KeyringConfig) -> "FileKeyring":
        """The keyring as its file is now. Raises KeyringFault, also where a key is gone."""
        found = FileKeyring.open(config)
        if gone := self.ciphers - found.ciphers:
            raise KeyMissing(f"the keyring has no key any more named {', '.join(sorted(gone))}")
        return found

    @property
    def ciphers(self) -> frozenset[str]:
        """Its keys that encrypt and decrypt."""
        return frozenset(self._newest)

    def take_over(self, anew: "FileKeyring") -> None:
        """Go on with the keys of another one."""
        vars(self).update(vars(anew))

    def key_bytes(self, name: str, kind: Kind) -> Secret:
        """The key itself, for the step that brings it into another keyring. Raises KeyMissing."""
        return self._key(name, kind)

    async def check(self, name: str, kind: Kind) -> None:
        self._key(versioned(name, self._newest.get(name, 1)) if kind == "aes256" else name, kind)

    async def encrypt(self, name: str, context: str, plaintext: Secret) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        box = self._cipher(versioned(name, self._newest.get(name, 1)), context)
        data = box.encrypt(nonce, plaintext.reveal_bytes(), context.encode())
        return f"{await self.newest(name)}{_b64(nonce)}.{_b64(data)}"

    async def decrypt(self, name: str, context: str, ciphertext: str) -> Secret:
        await self.check(name, "aes256")
        found = _CIPHERTEXT.fullmatch(ciphertext)
        try:
            if found is None:
                raise ValueError(name)  # noqa: TRY301 - one exit for all that does not open
            box = self._cipher(versioned(name, int(found[1] or 1)), context)
            return Secret(box.decrypt(_unb64(found[2]), _unb64(found[3]), context.encode()))
        except (InvalidTag, ValueError, KeyMissing):
            raise DecryptFailed(f"cannot decrypt with key {name}") from None

    async def newest(self, name: str) -> str:
        version = self._newest.get(name, 1)
        return "tg1." if version == 1 else f"tg2.{version}."

    async def renewed(self, name: str, context: str, ciphertext: str) -> str:
        return await self.encrypt(name, context, await self.decrypt(name, context, ciphertext))

    async def mac_key(self, name: str) -> Secret:
        return self._key(name, "mac")

    async def sign(self, name: str, message: bytes) -> bytes:
        return self._signer(name).sign(message)

    async def public_key(self, name: str) -> bytes:
        return (
            self._signer(name)
            .public_key()
            .public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        )

    def _signer(self, name: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._key(name, "ed25519").reveal_bytes())

    def _cipher(self, name: str, context: str) -> AESGCM:
        key = self._key(name, "aes256").reveal_bytes()
        # "seal" is the older word; it is part of the format of what is stored.
        info = f"tollgate seal|{name}|{context}".encode()
        return AESGCM(HKDF(hashes.SHA256(), _KEY_BYTES, None, info).derive(key))

    def _key(self, name: str, kind: str) -> Secret:
        found_kind, key = self._keys.get(name, ("", Secret("")))
        if found_kind != kind:
            raise KeyMissing(f"this keyring has no {kind} key named {name}")
        return key


def _unlocked(
    document: Any, unlock: Secret, path: Path
) -> tuple[dict[str, Any], dict[str, tuple[str, Secret]]]:
    """The salt and the entries that this opens, whichever while the lock changes; and the keys."""
    try:
        if document["format"] != _FORMAT:
            raise KeyringFault(f"{path}: not a keyring of this version")
        for lock in (document, document[_NEXT]) if _NEXT in document else (document,):
            with contextlib.suppress(InvalidTag):
                return {"salt": lock["salt"], "keys": lock["keys"]}, _keys(lock, unlock)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KeyringFault(f"{path}: not a keyring file") from None
    raise KeyringFault(f"{path}: wrong passphrase, or the file was altered")


def _keys(lock: Any, unlock: Secret) -> dict[str, tuple[str, Secret]]:
    """Raises InvalidTag, or what reading a wrong document raises."""
    wrap = AESGCM(_wrapping_key(unlock, bytes.fromhex(lock["salt"])))
    keys = {}
    for name, entry in lock["keys"].items():
        nonce, wrapped = bytes.fromhex(entry["nonce"]), bytes.fromhex(entry["wrapped"])
        key = wrap.decrypt(nonce, wrapped, f"{name}|{entry['kind']}".encode())
        keys[name] = (entry["kind"], Secret(key))
    return keys


def _wrapping_key(unlock: Secret, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=_KEY_BYTES, n=2**15, r=8, p=1).derive(unlock.reveal_bytes())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
