"""The secrets of docker-compose.yml: `python -m tollgate_cli.deployment DIRECTORY`, run once.

Makes certificates and passwords at random, each readable only by the account that uses
it. What is there already is kept, so that it may be run again (a certificate near its end is
replaced). Keyrings, too, where they are files; what services use at Vault an operator delivers
(deploy/vault/README.md). Who has which is the topology; what the files are called, `containers`.
"""

import argparse
import datetime as dt
import os
import sys
from pathlib import Path

from tollgate_cli import certificates, keyrings
from tollgate_cli.deployment import containers, topology_file
from tollgate_cli.deployment.topology import Topology
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import kept_secret, write_private
from tollgate_kit.clock import Clock, SystemClock

# The accounts of the images: our own, PostgreSQL's and Redis's, Vault's.
_OURS, _ENGINES, _VAULT = 65532, 999, 100


def make(directory: Path, topology: Topology, clock: Clock) -> None:
    """Everything below `directory`; owners are set when root runs it."""
    secrets = directory / "secrets"
    _certificates(directory / "authority", directory / "certs", topology, clock)
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    _databases(secrets, topology)
    if topology.has_vault:
        _vault(directory / "vault", topology)
    else:
        _keyrings(directory / "keyrings", secrets, topology)
    _redis(secrets, topology)
    for name in ("s3-root-user", "s3-root-password"):
        kept_secret(secrets / name)


def _databases(secrets: Path, topology: Topology) -> None:
    superuser = secrets / containers.SUPERUSER_PASSWORD
    kept_secret(superuser)
    _own(_ENGINES, superuser)
    for name in topology.database_owners:
        for role in topology.roles_of(name):
            password_file = secrets / containers.password_file(role)
            dsn_file = secrets / containers.dsn_file(role)
            at = _address(topology, "database")
            write_private(dsn_file, f"postgresql://{role}:{kept_secret(password_file)}@{at}/{name}")
            _own(_ENGINES, password_file)
            _own(_OURS, dsn_file)


def _keyrings(made: Path, secrets: Path, topology: Topology) -> None:
    keyrings.ensure(made)
    for name, process in topology.processes.items():
        if "keyring" in process.stores:
            for source, target in (("json", "keyring.json"), ("unlock", "keyring-unlock")):
                content = (made / f"{name}.{source}").read_bytes()
                write_private(secrets / f"{name}-{target}", content)
                _own(_OURS, secrets / f"{name}-{target}")


def _vault(place: Path, topology: Topology) -> None:
    """A directory for what each service uses at Vault; an operator delivers that into it."""
    named = [name for name, process in topology.processes.items() if "keyring" in process.stores]
    for directory in (place, *(place / name for name in named)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(directory, _OURS, _OURS)


def _redis(secrets: Path, topology: Topology) -> None:
    password_file, conf = secrets / "redis-password", secrets / "redis.conf"
    password, at = kept_secret(password_file), _address(topology, "rates")
    write_private(conf, _redis_conf(password, at.rpartition(":")[2]))
    _own(_ENGINES, password_file, conf)
    for name, process in topology.processes.items():
        if "rates" in process.stores:
            write_private(secrets / f"{name}-redis-url", f"redis://:{password}@{at}/0")
            _own(_OURS, secrets / f"{name}-redis-url")


def _address(topology: Topology, store: str) -> str:
    engine = topology.engine(store)
    return f"{engine}:{topology.engines[engine].port}"


def _certificates(authority: Path, certs: Path, topology: Topology, clock: Clock) -> None:
    certificates.ensure(authority, topology.identities, clock)
    certs.mkdir(mode=0o700, parents=True, exist_ok=True)
    for identity in topology.identities:
        files = certificates.files(authority, identity)
        _certificate(certs, identity, files.cert.read_bytes(), files.key.read_bytes(), _OURS)
    signer = certificates.load_authority(authority)
    assert signer is not None, "ensure() has just made it"
    now = dt.datetime.fromtimestamp(clock.unix_ms() / 1000, dt.UTC)
    for name, engine in topology.engines.items():
        if engine.certificate:
            issued = certificates.pem(*certificates.issue(name, signer, now=now))
            _certificate(certs, name, *issued, _VAULT)
    write_private(certs / "ca.pem", (authority / "ca.pem").read_bytes())
    (certs / "ca.pem").chmod(0o444)


def _certificate(certs: Path, name: str, cert: bytes, key: bytes, owner: int) -> None:
    write_private(certs / f"{name}.pem", cert)
    write_private(certs / f"{name}.key", key)
    _own(owner, certs / f"{name}.pem", certs / f"{name}.key")


def _redis_conf(password: str, port: str) -> str:
    lines = (
        f"port {port}",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
    )
    return "\n".join(lines) + "\n"


def _own(owner: int, *paths: Path) -> None:
    for path in paths:
        path.chmod(0o400)
        if os.geteuid() == 0:
            os.chown(path, owner, owner)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tollgate_cli.deployment")
    parser.add_argument("directory", type=Path, help="where the secrets go; keep it private")
    directory: Path = parser.parse_args().directory.absolute()
    if os.geteuid() != 0:
        print(
            "run as root: each file must belong to the account that reads it in its container",
            file=sys.stderr,
        )
        return 1
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        make(directory, topology_file.packaged(), SystemClock())
    except (OSError, Fault) as error:
        print(f"cannot make the secrets: {error}", file=sys.stderr)
        return 1
    print(f"made; now: export TOLLGATE_SECRETS={directory}")
    return 0
