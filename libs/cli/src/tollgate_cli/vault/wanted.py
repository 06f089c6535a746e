"""What a Vault must hold for Tollgate: keys, roles and policies. Pure but for the policies' files.

Promises: what is not said here is not wanted; a policy's text has one source, its file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

MOUNT = "transit"
PREFIX = "tollgate-"
# Who logs in. Router and authz do twice: what takes secrets in cannot open one.
SERVICES = (
    "router",
    "router-admin",
    "authz",
    "authz-admin",
    "budget",
    "audit",
    "edge-api",
    "edge-portal",
    "edge-console",
)
WRAPPED_KEYS = ("pepper", "reservation")
TOKEN_TTL_S = 15 * 60
TOKEN_MAX_TTL_S = 24 * 3600
SECRET_ID_TTL_S = 10 * 60
_DAY_S = 24 * 3600
_ROTATED_S = 30 * _DAY_S


@dataclass(frozen=True)
class Key:
    """A key of the transit engine. None can be exported, backed up in the clear or deleted."""

    name: str
    kind: str = "aes256-gcm96"
    # Each ciphertext is bound to a context, without which it does not open.
    is_derived: bool = False
    # 0: never by itself. Older versions go on opening what they encrypted.
    rotated_every_s: int = _ROTATED_S


KEYS = (
    Key("upstream-keys", is_derived=True),
    Key("subject-keys", is_derived=True),
    Key("pepper"),
    Key("reservation"),
    Key("oidc-client"),
    # A new version of it is a new name among the log's verifier keys: a step of a person.
    Key("tlog", "ed25519", rotated_every_s=0),
)


@dataclass(frozen=True)
class LoginTerms:
    """What an operator decides about logins."""

    # Service -> the networks it may log in from and use its token from; none: from anywhere. A
    # service that is not named keeps those that its role has.
    cidrs: Mapping[str, tuple[str, ...]]
    # For hosts on which nobody delivers a new secret-id at each start: how many days one is good
    # for, any number of times. 0: once, within ten minutes.
    secret_id_days: int = 0


BOUND_CIDRS: Final = ("secret_id_bound_cidrs", "token_bound_cidrs")


def role(service: str, terms: LoginTerms) -> dict[str, object]:
    """The settings of a service's AppRole, as Vault names them."""
    cidrs = sorted(terms.cidrs.get(service, ()))
    days = terms.secret_id_days
    return {
        "bind_secret_id": True,
        "secret_id_bound_cidrs": cidrs,
        "secret_id_num_uses": 0 if days else 1,
        "secret_id_ttl": days * _DAY_S if days else SECRET_ID_TTL_S,
        "token_bound_cidrs": cidrs,
        "token_explicit_max_ttl": TOKEN_MAX_TTL_S,
        "token_max_ttl": 0,
        "token_no_default_policy": True,
        "token_num_uses": 0,
        "token_period": 0,
        "token_policies": [PREFIX + service],
        "token_ttl": TOKEN_TTL_S,
        "token_type": "service",
    }


def policies(mount: str) -> dict[str, str]:
    """Every policy's text by its name: one for each service, and one for each one's delivery."""
    common, deliver = _text("common"), _text("deliver")
    texts = {PREFIX + service: f"{_text(service)}\n{common}" for service in SERVICES}
    for service in SERVICES:
        texts[f"{PREFIX}deliver-{service}"] = deliver.replace("SERVICE", service)
    return {name: text.replace('"transit/', f'"{mount}/') for name, text in texts.items()}


def _text(name: str) -> str:
    return (resources.files(__package__) / "policies" / f"{name}.hcl").read_text("utf-8")
