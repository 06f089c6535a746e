"""Makes the part of a process's configuration that follows from the topology. Pure.

These are its listeners, allowed callers, peers and stores. Everything else that may be set is
explained in deploy/config and left to its default or to people.
"""

from typing import Protocol

from tollgate_cli.deployment.toml_text import Value
from tollgate_cli.deployment.topology import Topology

Table = dict[str, Value]
Document = dict[str, Table]


class Places(Protocol):
    """Names the addresses and files of one way of deploying; paths may be relative."""

    def listen(self, name: str) -> str:
        """host:port that a process listens on, for gRPC or for clients."""
        ...

    def metrics(self, name: str) -> str:
        """host:port of a process's metrics."""
        ...

    def address(self, name: str) -> str:
        """host:port at which others reach a process."""
        ...

    def tls(self, identity: str) -> Table:
        """The files of an identity."""
        ...

    def dsn(self, role: str) -> str:
        """The file with the connection string of a role of Postgres."""
        ...

    def redis_url(self, name: str, /) -> str:
        """The file with the URL of the Redis of a process."""
        ...

    def keyring(self, name: str) -> Table:
        """The files of a process's keyring."""
        ...

    @property
    def log(self) -> str:
        """The directory of the published log."""
        ...

    @property
    def verifier_key(self) -> str:
        """The file with the log's public key."""
        ...

    @property
    def former_log_keys(self) -> tuple[str, ...]:
        """The log's public keys before its key was changed."""
        ...


def document(topology: Topology, places: Places, identity: str, name: str = "") -> Document:
    """The configuration of a process, or of the replica `name` of it."""
    process = topology.processes[identity]
    listener: Table = {"listen": places.listen(name or identity)} if process.metrics_port else {}
    tls = places.tls(identity)
    made: Document = {}
    if process.rpc_port:
        made["rpc"] = {**listener, "tls": tls, "allow": process.allow}
    elif process.http_port:
        made["api"] = listener
    if process.metrics_port:
        made["metrics"] = {"listen": places.metrics(name or identity)}
    if not process.rpc_port:
        made["tls"] = tls
    made |= _stores(topology, places, identity)
    for callee in topology.callees(identity):
        made[callee] = {"addresses": [places.address(callee)], "identity": callee}
    if "evidence" in process.reads:
        made["evidence"] = {"directory": places.log, "verifier_key": places.verifier_key}
    return made


def _stores(topology: Topology, places: Places, name: str) -> Document:
    stores = topology.processes[name].stores
    made: Document = {}
    if "database" in stores:
        made["postgres"] = {"dsn_file": places.dsn(name)}
        owner = topology.database_owners[name]
        if owner != name:
            made["owner"] = {"dsn_path": places.dsn(owner)}
    if "rates" in stores:
        made["redis"] = {"url_file": places.redis_url(name)}
    if "keyring" in stores:
        made["keyring"] = places.keyring(name)
    if "evidence" in stores:
        made["log"] = {"directory": places.log, "verifier_key_path": places.verifier_key}
        if places.former_log_keys:
            made["log"]["former_keys"] = places.former_log_keys
    return made
