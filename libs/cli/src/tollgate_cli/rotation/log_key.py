"""Another key for the log: both sign until every verifier has the new one's line, then it alone.

Audit does the work at SIGHUP (tollgate_audit.key_change): a reload that is done is published.
"""

import asyncio
import secrets

from tollgate_cli import chosen_keyring, keyrings
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import secret, write_private
from tollgate_cli.rotation.running import Running
from tollgate_cli.suite.service_configs import ORIGIN
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import versioned
from tollgate_kit.secret import Secret
from tollgate_tlog.note import VerifierKey

_AUDIT, _KEY = "audit", "tlog"
_KEY_BYTES = 32


def require_files(home: Home) -> None:
    """Raises Fault where the keys are in Vault: former files may still be there, and are not it."""
    if chosen_keyring.in_vault(home):
        raise Fault("the log's key of this suite is in Vault", "docs/secrets.md says the steps")


def begin(running: Running) -> str:
    """Have a newer key sign beside the one that is there; its verifier line. Raises Fault.

    Interrupted, or done again before finish(), it goes on where it was.
    """
    require_files(running.home)
    path, unlock_file = keyrings.files(running.home.keyrings, _AUDIT)
    *older, version = _versions(running)
    if not older:
        version += 1
        key = Secret(secrets.token_bytes(_KEY_BYTES))
        added = {versioned(_KEY, version): ("ed25519", key)}
        keyring_file.change(path, Secret(secret(unlock_file)), add=added)
    running.configure(_AUDIT)
    running.reload(_AUDIT)
    return _line(running, version)


def finish(running: Running) -> list[str]:
    """Have the newest key sign alone, and delete the others; their verifier lines. Raises Fault."""
    require_files(running.home)
    path, unlock_file = keyrings.files(running.home.keyrings, _AUDIT)
    # Whatever was interrupted before: after this, nothing waits that an older key has marked.
    running.configure(_AUDIT)
    running.reload(_AUDIT)
    *older, newest = _versions(running)
    former = [_line(running, version) for version in reversed(older)]
    kept = running.home.former_log_keys
    lines = [*former, *(kept.read_text("utf-8").split() if kept.exists() else ())]
    write_private(kept, "".join(f"{line}\n" for line in dict.fromkeys(lines)))
    running.configure(_AUDIT, {_KEY: [newest]})
    running.reload(_AUDIT)
    # Last: a process that ends meanwhile finds all that its configuration names.
    if older:
        names = [versioned(_KEY, version) for version in older]
        keyring_file.change(path, Secret(secret(unlock_file)), remove=names)
    return former


def _versions(running: Running) -> list[int]:
    return keyrings.versions(running.home.keyrings, _AUDIT)[_KEY]


def _line(running: Running, version: int) -> str:
    keyring = keyrings.opened(running.home.keyrings, _AUDIT)
    public = asyncio.run(keyring.public_key(versioned(_KEY, version)))
    return str(VerifierKey(ORIGIN, public))
