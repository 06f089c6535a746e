"""The versions of the log's key at Vault, as an operator changes them."""

import base64
from typing import Any

from hvac import exceptions

from tollgate_cli.service_keys import LOG_KEY
from tollgate_tlog import note


def public_keys(client: Any, mount: str) -> dict[int, bytes]:
    """The public half of each version that may still verify, oldest first."""
    found = client.secrets.transit.read_key(LOG_KEY, mount_point=mount)["data"]["keys"]
    return {
        number: base64.b64decode(found[str(number)]["public_key"])
        for number in sorted(map(int, found))
    }


def version_of(client: Any, mount: str, line: str) -> int | None:
    """Which version a verifier's line is of; None: of none that is there."""
    try:
        public = note.parse_key(line).public_key
        found = public_keys(client, mount)
    except (note.NoteError, exceptions.InvalidPath):
        return None
    return next((version for version, half in found.items() if half == public), None)


def rotate(client: Any, mount: str) -> None:
    """Have Vault make one version more."""
    client.secrets.transit.rotate_key(LOG_KEY, mount_point=mount)


def end_before(client: Any, mount: str, version: int) -> None:
    """From now on Vault signs with no version before this one; it verifies with all."""
    client.secrets.transit.update_key_configuration(
        LOG_KEY, min_encryption_version=version, mount_point=mount
    )
