"""Which keys each service has, and who logs in for it where they are Vault's. Pure."""

from collections.abc import Mapping

# Budget and router share it: by it router knows that budget granted a reservation.
RESERVATION = "reservation"
PEPPER = "pepper"
# Signs the log.
LOG_KEY = "tlog"
KEYS: Mapping[str, Mapping[str, str]] = {
    "authz": {PEPPER: "mac"},
    "budget": {RESERVATION: "mac"},
    "router": {RESERVATION: "mac", "upstream-keys": "aes256"},
    "audit": {LOG_KEY: "ed25519", "subject-keys": "aes256"},
}
# Who encrypts, where that is another login than who decrypts.
WRITERS: Mapping[str, str] = {"router": "router-admin"}


def logins(service: str) -> tuple[str, ...]:
    """The names by which a service logs in at Vault: each has an AppRole and a secret-id."""
    return (service, WRITERS[service]) if service in WRITERS else (service,)


def wrapped(service: str) -> tuple[str, ...]:
    """Its keys that Vault only wraps: the service has each in a file, and unwraps it once."""
    return tuple(name for name, kind in KEYS[service].items() if kind == "mac")
