"""Names the addresses and files of a process in its container, as compose mounts them. Pure.

Owns the names of the files below $TOLLGATE_SECRETS; `secrets` makes them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from tollgate_cli.deployment import configs, keyring_tables
from tollgate_cli.deployment.toml_text import Value
from tollgate_cli.deployment.topology import Topology

# What the image of postgres makes its superuser with.
SUPERUSER_PASSWORD = "postgres-superuser-password"  # noqa: S105 - a file, not a password
ROOT = PurePosixPath("/etc/tollgate")
CONFIG = ROOT / "config"
STATE = ROOT / "state"
# What a service uses at Vault: a directory, for its files are replaced while it runs.
VAULT = ROOT / "vault"
_VAULT = "../vault"
_MOUNT = "transit"
# As in certificates.
_SUFFIX = ".tollgate.internal"
_EVERYWHERE, _LOOPBACK = "0.0.0.0", "127.0.0.1"  # noqa: S104 - a container's networks bound it


@dataclass(frozen=True)
class Containers:
    """Places of a container; paths are relative to its configuration."""

    topology: Topology

    def listen(self, name: str) -> str:
        process = self.topology.processes[name]
        return f"{_EVERYWHERE}:{process.rpc_port or process.http_port}"

    def metrics(self, name: str) -> str:
        process = self.topology.processes[name]
        # Who clients reach shows its metrics to its own container only.
        host = _LOOPBACK if process.http_port else _EVERYWHERE
        return f"{host}:{process.metrics_port}"

    def address(self, name: str) -> str:
        return f"{name}:{self.topology.processes[name].rpc_port}"

    def tls(self, identity: str) -> configs.Table:
        at = "../certs"
        return {"ca": f"{at}/ca.pem", "cert": f"{at}/{identity}.pem", "key": f"{at}/{identity}.key"}

    def dsn(self, role: str) -> str:
        return f"../secrets/{dsn_file(role)}"

    def redis_url(self, name: str) -> str:
        return f"../secrets/{name}-redis-url"

    def keyring(self, name: str) -> configs.Table:
        if self.topology.has_vault:
            engine = self.topology.engine("keyring")
            address = f"https://{engine}{_SUFFIX}:{self.topology.engines[engine].port}"
            places = keyring_tables.VaultPlaces(
                address, "../certs/ca.pem", _MOUNT, logins=_VAULT, wrapped=_VAULT
            )
            return keyring_tables.vault(name, places)
        at = f"../secrets/{name}-keyring"
        return {"path": f"{at}.json", "unlock_file": f"{at}-unlock"}

    @property
    def log(self) -> str:
        return "../state/worm"

    @property
    def verifier_key(self) -> str:
        return "../state/log.vkey"

    @property
    def former_log_keys(self) -> tuple[str, ...]:
        return ()


def password_file(role: str) -> str:
    """The file with the password of a role of Postgres."""
    return f"{role.replace('_', '-')}-postgres-password"


def dsn_file(role: str) -> str:
    """The file with the connection string of a role of Postgres."""
    return f"{role.replace('_', '-')}-postgres-dsn"


def mounted(topology: Topology, name: str, *, migration: bool = False) -> list[str]:
    """The secrets that a process is given, as folder/file: those that its configuration names.

    What owns a database is given to the migration alone.
    """
    document = configs.document(topology, Containers(topology), name)
    if not migration:
        document.pop("owner", None)
    named = (text.removeprefix("../") for text in _texts(document) if text.startswith("../"))
    given = [path for path in named if path.partition("/")[0] in {"certs", "secrets"}]
    return list(dict.fromkeys(given))


def _texts(table: Mapping[str, Value]) -> Iterator[str]:
    for value in table.values():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield value
