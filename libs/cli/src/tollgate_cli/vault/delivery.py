"""What an operator hands to a service: a wrapped secret-id, and keys that only Vault can unwrap.

Promises: a secret-id leaves Vault wrapped, so that a second reader is noticed; a wrapped key's
bytes are made in Vault and seen by nobody but the service; no file is ever half written, and a
wrapped key is never replaced, for what it authenticated would be lost.
"""

import base64
import os
from pathlib import Path
from typing import Any

from hvac import exceptions

from tollgate_cli import state_file
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_new, write_private
from tollgate_cli.vault import wanted

# As the policies of delivery say.
WRAPPED_AT_LEAST_S = 15
WRAPPED_AT_MOST_S = 300
_KEY_BYTES = 32
_KEY_REMEDY = f"a key is {_KEY_BYTES} bytes and nothing else, in a file of mode 0400"


def role_id_file(out: Path) -> Path:
    """Where the role-id stands that belongs to a delivered secret-id: each has its own."""
    return out.with_name(out.name.removesuffix(".secret-id") + ".role-id")


def deliver(client: Any, service: str, out: Path, *, ttl_s: int, is_wrapped: bool = True) -> None:
    """Writes a secret-id, and the role-id beside it. A wrapped one opens once, and within ttl_s.

    One that is not is as a password: for hosts where nobody delivers at each start.
    """
    if service not in wanted.SERVICES:
        raise Fault(f"there is no service {service}", f"one of: {', '.join(wanted.SERVICES)}")
    name, beside = wanted.PREFIX + service, role_id_file(out)
    if out == beside:
        raise Fault(f"{out} is where the role-id goes", "name the file otherwise")
    try:
        role_id = client.auth.approle.read_role_id(name)["data"]["role_id"]
    except exceptions.InvalidPath:
        raise Fault(f"Vault has no role {name}", "run: tollgate vault init") from None
    except exceptions.Forbidden:
        # A token that may only deliver: the role-id is no secret, and never changes.
        if not beside.is_file():
            raise Fault(
                f"this token may not read the role-id of {name}, and {beside} is not there",
                f"put it there once: vault read auth/approle/role/{name}/role-id",
            ) from None
        role_id = ""
    answer = client.auth.approle.generate_secret_id(name, wrap_ttl=f"{ttl_s}s")
    delivered = answer["wrap_info"]["token"]
    if not is_wrapped:
        client.token = delivered
        made = client.sys.unwrap()["data"]
        if made["secret_id_num_uses"]:
            raise Fault(
                f"a secret-id of {name} is good once, and --unwrapped is for those that serve "
                "again and again: nothing was written",
                "without --unwrapped it is delivered; or first `tollgate vault init "
                "--secret-id-days 30 --cidr SERVICE=CIDR …`",
            )
        delivered = made["secret_id"]
    if role_id:
        _write(beside, role_id)
    _write(out, delivered)


def wrap_key(client: Any, name: str, out: Path, *, mount: str, key_file: Path | None) -> None:
    """Writes a key's ciphertext: of a new one that nobody has seen, or of the one in a file."""
    if name not in wanted.WRAPPED_KEYS:
        raise Fault(f"{name} is no wrapped key", f"one of: {', '.join(wanted.WRAPPED_KEYS)}")
    if os.path.lexists(out):
        raise _is_there(out)
    transit = client.secrets.transit
    text = None if key_file is None else base64.b64encode(_key(key_file)).decode()
    try:
        if text is None:
            answer = transit.generate_data_key(
                name, key_type="wrapped", bits=256, mount_point=mount
            )
        else:
            answer = transit.encrypt_data(name, plaintext=text, mount_point=mount)
    except (exceptions.InvalidPath, exceptions.InvalidRequest):
        raise Fault(f"Vault has no key {mount}/{name}", "make it: tollgate vault init") from None
    try:
        write_new(out, answer["data"]["ciphertext"] + "\n")
    except FileExistsError:
        # Another who wrapped one at the same time was first.
        raise _is_there(out) from None
    # It says nothing to whom Vault does not open it.
    out.chmod(0o444)


def _is_there(out: Path) -> Fault:
    return Fault(
        f"{out} is there already, and is not replaced",
        "what its key authenticated would be lost: name another file, or move this one away",
    )


def _key(file: Path) -> bytes:
    try:
        mode = file.stat().st_mode
        data = state_file.read_bytes(file, _KEY_REMEDY)
    except FileNotFoundError:
        raise Fault(f"there is no file {file}", _KEY_REMEDY) from None
    if mode & 0o077 or len(data) != _KEY_BYTES:
        raise Fault(f"{file} holds no key, or others can read it", _KEY_REMEDY)
    return data


def _write(path: Path, text: str) -> None:
    write_private(path, text + "\n")
    path.chmod(0o400)
