"""Makes a service's table [keyring]: its file, or Vault. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tollgate_cli import service_keys
from tollgate_cli.deployment.toml_text import Value
from tollgate_kit.keyring.base import versioned

# As tollgate_cli.vault.wanted names AppRoles.
_ROLE = "tollgate-"


@dataclass(frozen=True)
class VaultPlaces:
    """The address of a Vault, and the directories of the files that services log in with."""

    address: str
    ca_file: str
    mount: str
    # Secret-ids and role-ids, and the wrapped keys.
    logins: str
    wrapped: str
    # The versions with which keys go on to sign; of one that is not named, the newest.
    signing: Mapping[str, int] = field(default_factory=dict)


def vault(
    service: str, at: VaultPlaces, versions: Mapping[str, Sequence[int]] = MappingProxyType({})
) -> dict[str, Value]:
    """The table of a service whose keys are Vault's.

    `versions`: of those that it only wraps, and of one that signs, once that was rotated.
    """
    first, *others = service_keys.logins(service)
    table: dict[str, Value] = {
        "address": at.address,
        "ca_file": at.ca_file,
        **_login(first, at),
        "transit": at.mount,
    }
    if names := service_keys.wrapped(service):
        used = [versioned(name, one) for name in names for one in versions.get(name, (1,))]
        table["wrapped"] = {name: f"{at.wrapped}/{name}.wrapped" for name in used}
    pinned = {name: at.signing[name] for name in service_keys.KEYS[service] if name in at.signing}
    # A name without a number would mean the newest.
    pinned |= dict.fromkeys(sorted(versions.keys() - set(names)), 1)
    if pinned:
        table["key_versions"] = pinned
    for other in others:
        table["writer"] = _login(other, at)
    told: dict[str, Value] = {name: list(numbers) for name, numbers in versions.items()}
    return {"vault": table, **({"versions": told} if told else {})}


def _login(name: str, at: VaultPlaces) -> Mapping[str, Value]:
    return {
        "role": f"{_ROLE}{name}",
        "role_id_file": f"{at.logins}/{name}.role-id",
        "secret_id_file": f"{at.logins}/{name}.secret-id",
    }
