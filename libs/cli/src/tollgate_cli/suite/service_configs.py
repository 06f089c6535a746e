"""What each process of the embedded suite is configured with; deploy/config explains the fields.

Pure: the topology, addresses and paths in, documents out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import MappingProxyType

from tollgate_cli import certificates, keyrings, state_file
from tollgate_cli.chosen_keyring import FILES, VAULT, Chosen
from tollgate_cli.deployment import configs, keyring_tables
from tollgate_cli.deployment.configs import Document, Table
from tollgate_cli.deployment.topology import Topology
from tollgate_cli.home import Home

# The name of the embedded suite's log, as its checkpoints carry it.
ORIGIN = "tollgate.local/log"
EDGE = "edge-api"


@dataclass(frozen=True)
class LocalPlaces:
    """Where everything of one suite on this machine is (deployment.configs.Places)."""

    home: Home
    address: Callable[[str], str]
    metrics_address: Callable[[str], str]
    chosen: Chosen = FILES
    _: KW_ONLY
    # Where secret-ids are delivered to, where it is not where services look for theirs.
    logins: Path | None = None
    # In Vault: the versions with which keys go on to sign.
    signing: Mapping[str, int] = field(default_factory=dict)

    def listen(self, name: str) -> str:
        return self.address(name)

    def metrics(self, name: str) -> str:
        return self.metrics_address(name)

    def tls(self, identity: str) -> Table:
        files = certificates.files(self.home.certificates, identity)
        return {"ca": str(files.ca), "cert": str(files.cert), "key": str(files.key)}

    def dsn(self, role: str) -> str:
        return str(self.home.dsn(role))

    def redis_url(self, _name: str) -> str:
        return str(self.home.redis_url)

    def keyring(self, name: str, only: Mapping[str, Sequence[int]] = MappingProxyType({})) -> Table:
        """`only`: of a key the versions to use, where these are not all that are there."""
        if self.chosen.kind == VAULT:
            at = keyring_tables.VaultPlaces(
                self.chosen.address,
                self.chosen.ca_file,
                self.chosen.mount,
                logins=str(self.logins or self.home.vault_logins),
                wrapped=str(self.home.keyrings),
                signing=self.signing,
            )
            found = keyrings.versions_in_vault(self.home.keyrings, name)
            return keyring_tables.vault(name, at, {**found, **only})
        path, unlock_file = keyrings.files(self.home.keyrings, name)
        made: Table = {"path": str(path), "unlock_file": str(unlock_file)}
        versions = {**keyrings.versions(self.home.keyrings, name), **only}
        return {**made, "versions": versions} if versions else made

    @property
    def log(self) -> str:
        return str(self.home.worm)

    @property
    def verifier_key(self) -> str:
        return str(self.home.verifier_key)

    @property
    def former_log_keys(self) -> tuple[str, ...]:
        return tuple(state_file.lines(self.home.former_log_keys))


def documents(
    topology: Topology, places: LocalPlaces, edges: Sequence[str], *, demo: bool
) -> dict[str, Document]:
    """Name of a process -> its configuration; `edges` are the replicas of edge-api."""
    made = {
        name: configs.document(topology, places, name)
        for name in topology.contained
        if name != EDGE
    }
    made |= {name: configs.document(topology, places, EDGE, name) for name in edges}
    made["audit"]["log"]["origin"] = ORIGIN
    # A suite on one machine may well have its models there, too (the demo provider, Ollama).
    made["router"]["catalogue"] = {"allow_private_upstreams": True, "demo_prices": demo}
    return made
