"""Another text to unlock each service's keyring file, and the same keys in it.

A copy of the old one opens no keyring that is written from here on; what opens with it is a copy of
the keyring from before, and of that the keys themselves are rotated.
"""

import secrets
from pathlib import Path

from tollgate_cli import chosen_keyring, keyrings, service_keys
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import secret, write_private
from tollgate_cli.rotation.running import Running
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.secret import Secret


def rotate(running: Running) -> list[str]:
    """Lock every keyring anew, and have its service read it; the services. Raises Fault."""
    home = running.home
    if chosen_keyring.in_vault(home) is not None:
        raise Fault(
            "the keys are in Vault: no file unlocks them",
            "services log in by secret-ids that are good once: docs/secrets.md, In Vault",
        )
    for service in service_keys.KEYS:
        path, unlock_file = keyrings.files(home.keyrings, service)
        # Raises Fault for one that does not open, and says what to do.
        keyrings.opened(home.keyrings, service)
        _lock_anew(path, unlock_file)
        running.reload(service)
    return list(service_keys.KEYS)


def _lock_anew(path: Path, unlock_file: Path) -> None:
    fresh = secrets.token_urlsafe(32)

    def keep() -> None:
        write_private(unlock_file, fresh)
        unlock_file.chmod(0o400)

    keyring_file.lock_anew(path, Secret(secret(unlock_file)), Secret(fresh), keep)
