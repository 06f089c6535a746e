"""What `tollgate status` says of keys: a Vault's state, what is left of tokens, an unfinished move.

Asks Vault itself, and each service by its metrics. Never: logs in.
"""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from tollgate_cli import chosen_keyring, service_keys
from tollgate_cli.chosen_keyring import FILE, VAULT
from tollgate_cli.deadline import within
from tollgate_cli.home import Home
from tollgate_cli.suite import vault_logins
from tollgate_cli.suite.processes import probe

_TTL = "tollgate_vault_token_ttl_seconds"
_TIMEOUT_S = 2.0
# A token is renewed when a third of its life is left: one with less is near its last end.
_NEAR_END_S = (vault_logins.TOKEN_TTL_S / 3) * 0.8
# A standby passes on what it is asked: it is well.
_HEALTH = "/v1/sys/health?standbyok=true&perfstandbyok=true"
_STATES = {200: "up", 501: "new: not initialised", 503: "sealed"}


@dataclass(frozen=True)
class KeyringStatus:
    """`state` is of Vault, and empty for files; a service without an answer is not in `tokens`."""

    kind: str
    address: str
    state: str
    tokens: Mapping[str, int]
    # The commands by which an operator hands a service the login that it will need.
    remedies: tuple[str, ...] = ()
    # Of a move of the keys that was cut short: where to, and the command that ends it.
    moving: str = ""
    go_on: str = ""


def look(home: Home, metrics: Mapping[str, str | None]) -> KeyringStatus:
    """`metrics` has the address of each running process's metrics. Raises Fault."""
    chosen = chosen_keyring.remembered(home) or chosen_keyring.FILES
    moving, go_on = chosen.moving, chosen_keyring.go_on(chosen) if chosen.moving else ""
    if chosen.kind != VAULT:
        return KeyringStatus(FILE, "", "", {}, moving=moving, go_on=go_on)
    tokens = {
        name: int(left)
        for name, at in metrics.items()
        if at and name in service_keys.KEYS and (left := probe.metric(at, _TTL)) is not None
    }
    remedies = [
        vault_logins.command(home, login)
        for name, left in tokens.items()
        if left < _NEAR_END_S
        for login in service_keys.logins(name)
    ]
    state = _state(chosen.address, chosen.ca_file)
    at = chosen.address
    return KeyringStatus(VAULT, at, state, tokens, tuple(remedies), moving, go_on)


def _state(address: str, ca_file: str) -> str:
    try:
        # The connection's own bound is of each read.
        status = within(2 * _TIMEOUT_S, partial(_health, address, ca_file))
    except (OSError, ValueError, http.client.HTTPException):
        return "does not answer"
    return _STATES.get(status, f"answers {status}")


def _health(address: str, ca_file: str) -> int:
    at = urlsplit(address)
    trust = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection(
        at.hostname or "", at.port, timeout=_TIMEOUT_S, context=trust
    )
    try:
        connection.request("GET", _HEALTH)
        return connection.getresponse().status
    finally:
        connection.close()
