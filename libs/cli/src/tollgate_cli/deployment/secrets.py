"""The secrets of docker-compose.yml: `python -m tollgate_cli.deployment DIRECTORY`, run once.

Makes certificates, keyrings and passwords at random, each readable only by the account that uses
it. What is there already is kept, so that it may be run again (a certificate near its end is
replaced). Owns the names; docker-compose.yml says who is given what.
"""

import argparse
import datetime as dt
import os
import sys
from pathlib import Path

from tollgate_cli import certificates, keyrings
from tollgate_cli.fault import Fault
from tollgate_cli.private_file import kept_secret, write_private
from tollgate_kit.clock import Clock, SystemClock

STORES = ("authz", "budget", "router", "audit")
# The accounts of the images: our own, PostgreSQL's and Redis's, Vault's.
_OURS, _ENGINES, _VAULT = 65532, 999, 100


def make(directory: Path, clock: Clock) -> None:
    """Everything below `directory`; owners are set when root runs it."""
    certs, secrets = directory / "certs", directory / "secrets"
    _certificates(directory / "authority", certs, clock)
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    keyrings.ensure(directory / "keyrings")
    # The log's owner migrates its database; the service writes to it as another role.
    password = kept_secret(secrets / "audit-owner-postgres-password")
    dsn = f"postgresql://audit_owner:{password}@postgres:5432/audit"
    write_private(secrets / "audit-owner-postgres-dsn", dsn)
    _own(_ENGINES, secrets / "audit-owner-postgres-password")
    _own(_OURS, secrets / "audit-owner-postgres-dsn")
    for name in STORES:
        password = kept_secret(secrets / f"{name}-postgres-password")
        dsn = f"postgresql://{name}:{password}@postgres:5432/{name}"
        write_private(secrets / f"{name}-postgres-dsn", dsn)
        for source, target in (("json", "keyring.json"), ("unlock", "keyring-unlock")):
            content = (directory / "keyrings" / f"{name}.{source}").read_bytes()
            write_private(secrets / f"{name}-{target}", content)
        _own(_OURS, *secrets.glob(f"{name}-keyring*"), secrets / f"{name}-postgres-dsn")
        _own(_ENGINES, secrets / f"{name}-postgres-password")
    password = kept_secret(secrets / "redis-password")
    write_private(secrets / "redis.conf", _redis(password))
    write_private(secrets / "budget-redis-url", f"redis://:{password}@redis:6379/0")
    kept_secret(secrets / "postgres-superuser-password")
    for name in ("s3-root-user", "s3-root-password"):
        kept_secret(secrets / name)
    engines = ("redis-password", "redis.conf", "postgres-superuser-password")
    _own(_ENGINES, *(secrets / name for name in engines))
    _own(_OURS, secrets / "budget-redis-url")


def _certificates(authority: Path, certs: Path, clock: Clock) -> None:
    certificates.ensure(authority, clock)
    certs.mkdir(mode=0o700, parents=True, exist_ok=True)
    for identity in certificates.IDENTITIES:
        files = certificates.files(authority, identity)
        _certificate(certs, identity, files.cert.read_bytes(), files.key.read_bytes(), _OURS)
    signer = certificates.load_authority(authority)
    assert signer is not None, "ensure() has just made it"
    now = dt.datetime.fromtimestamp(clock.unix_ms() / 1000, dt.UTC)
    vault = certificates.pem(*certificates.issue("vault", signer, now=now))
    _certificate(certs, "vault", *vault, _VAULT)
    write_private(certs / "ca.pem", (authority / "ca.pem").read_bytes())
    (certs / "ca.pem").chmod(0o444)


def _certificate(certs: Path, name: str, cert: bytes, key: bytes, owner: int) -> None:
    write_private(certs / f"{name}.pem", cert)
    write_private(certs / f"{name}.key", key)
    _own(owner, certs / f"{name}.pem", certs / f"{name}.key")


def _redis(password: str) -> str:
    lines = (
        "port 6379",
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
        make(directory, SystemClock())
    except (OSError, Fault) as error:
        print(f"cannot make the secrets: {error}", file=sys.stderr)
        return 1
    print(f"made; now: export TOLLGATE_SECRETS={directory}")
    return 0
