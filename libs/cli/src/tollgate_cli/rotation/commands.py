"""`tollgate rotate`: a new secret in place of an old one, while calls go on."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tollgate_cli import certificates, service_keys
from tollgate_cli.commands import session
from tollgate_cli.commands.provider import KeyFile
from tollgate_cli.commands.session import ConfigFile
from tollgate_cli.home import Home
from tollgate_cli.operator_client import Operator
from tollgate_cli.rotation import upstream_keys
from tollgate_kit.clock import SystemClock

if TYPE_CHECKING:
    from tollgate_cli.rotation.encryption_keys import Rows
    from tollgate_cli.rotation.running import Running

rotations = typer.Typer(
    help="New secrets in place of old ones; docs/secrets.md has all.", no_args_is_help=True
)


# Processes look at their files once a second, and a connection is made in less.
_SETTLE_S = 3.0
VaultTokenFile = Annotated[
    Path | None,
    typer.Option(help="An operator's, where keys are in Vault; default: $VAULT_TOKEN."),
]


@rotations.command("upstream-key")
def rotate_upstream_key(
    name: Annotated[str, typer.Argument(help="The provider's name.")],
    *,
    key_file: KeyFile = None,
    config: ConfigFile = None,
) -> None:
    """Put a key in place of all keys of a provider, once it was seen to work.

    What the old ones could do ends at the provider, where you delete them.
    """
    # Two at once would each leave a key of their own. Of operators elsewhere this knows nothing.
    from tollgate_cli.rotation.running import alone

    alone(Home.from_environment())

    async def work(operator: Operator) -> tuple[str, list[str]]:
        return await upstream_keys.rotate(operator, name, key_file)

    added, old = session.run(config, work)
    print(f"provider {name} is called with {added}; removed: {', '.join(old) or 'none'}")


@rotations.command("upstream-keys")
def rotate_upstream_keys(vault_token_file: VaultTokenFile = None) -> None:
    """Encrypt all keys of upstreams with another version of their key; the old one goes."""
    from tollgate_cli.rotation import encryption_keys

    _encrypt_anew(encryption_keys.UPSTREAM_KEYS, vault_token_file)


@rotations.command("subject-keys")
def rotate_subject_keys(vault_token_file: VaultTokenFile = None) -> None:
    """Encrypt the keys of all pseudonyms with another version of their key; the old one goes."""
    from tollgate_cli.rotation import encryption_keys

    _encrypt_anew(encryption_keys.SUBJECT_KEYS, vault_token_file)


@rotations.command("postgres-passwords")
def rotate_postgres_passwords() -> None:
    """Give every role of the embedded PostgreSQL another password."""
    # Imported here: the drivers take half a second, which no other command needs.
    from tollgate_cli.rotation import databases

    done = databases.rotate(_running())
    print(f"{len(done)} roles have new passwords: {', '.join(done)}")


@rotations.command("redis-password")
def rotate_redis_password() -> None:
    """Give the embedded Redis another password."""
    from tollgate_cli.rotation import rates

    rates.rotate(_running())
    print("Redis has a new password")


@rotations.command("certificates")
def rotate_certificates(
    authority: Annotated[
        bool, typer.Option("--authority", help="Another authority, too: the old one is nobody's.")
    ] = False,
) -> None:
    """Give every identity another key and certificate; new connections show them.

    Without --authority the old ones are good until their own end.
    """
    running, clock = _running(), SystemClock()
    place, identities = running.home.certificates, running.topology.identities
    if authority:
        # Both are believed by all before anybody shows what the new one signed; and until all do.
        certificates.next_authority(place, clock)
        time.sleep(_SETTLE_S)
    certificates.renew(place, identities, clock)
    if authority:
        time.sleep(_SETTLE_S)
        certificates.believe_one_authority(place)
    signed = ", of a new authority" if authority else ""
    print(f"{len(identities)} identities have new certificates{signed}")


@rotations.command("reservation")
def rotate_reservation(
    wait_s: Annotated[
        int, typer.Option("--wait-s", min=1, max=3600, help="For calls of the old key to end.")
    ] = 300,
    vault_token_file: VaultTokenFile = None,
) -> None:
    """Sign reservations with another key; the old one goes when no call needs it."""
    from tollgate_cli.rotation import mac_keys

    running, name = _running(), service_keys.RESERVATION
    version = mac_keys.begin(running, name, vault_token_file)
    print(f"reservations are signed with version {version}; waiting for calls with an older one")
    mac_keys.wait_for_reservations(running, SystemClock(), seconds=wait_s)
    print(f"deleted: version {', '.join(map(str, mac_keys.delete_old(running, name)))}")


@rotations.command("pepper")
def rotate_pepper(
    finish: Annotated[
        bool, typer.Option("--finish", help="Delete the older ones; no key may need them.")
    ] = False,
    vault_token_file: VaultTokenFile = None,
) -> None:
    """Store new keys of clients under another pepper; keys that are there keep theirs."""
    from tollgate_cli.rotation import mac_keys

    running, name = _running(), service_keys.PEPPER
    if not finish:
        version = mac_keys.begin(running, name, vault_token_file)
        print(f"new keys are stored under version {version} of the pepper")
        return
    mac_keys.require_no_key_under(running, mac_keys.versions(running, name)[-1])
    print(f"deleted: version {', '.join(map(str, mac_keys.delete_old(running, name))) or 'none'}")


@rotations.command("keyring-unlock")
def rotate_keyring_unlock() -> None:
    """Have another text unlock the keyring file of each service; the keys in it stay."""
    from tollgate_cli.rotation import keyring_unlock

    done = keyring_unlock.rotate(_running())
    print(f"{len(done)} keyrings are unlocked by another text each: {', '.join(done)}")


@rotations.command("log-key")
def rotate_log_key(
    finish: Annotated[
        bool, typer.Option("--finish", help="The older key signs no more, and is ended.")
    ] = False,
    vault_token_file: VaultTokenFile = None,
) -> None:
    """Sign the log with another key, beside the older one until --finish.

    Before that, everybody who verifies the log needs the new line, above the one that they have.
    """
    from tollgate_cli.rotation import log_key

    running = _running()
    if not finish:
        print(f"the log is signed with this key, too:\n{log_key.begin(running, vault_token_file)}")
        print(f"{running.home.verifier_key} has all lines for those who verify; then --finish")
        return
    print("\n".join(["these sign no more:", *log_key.finish(running, vault_token_file)]))


def _encrypt_anew(rows: "Rows", vault_token_file: Path | None) -> None:
    from tollgate_cli.rotation.encryption_keys import EncryptionKey

    key = EncryptionKey(_running(), rows, vault_token_file)
    version = key.begin()
    print(f"{rows.name}: version {version} encrypts")
    key.renew()
    key.wait_until_read(SystemClock())
    print(f"decrypts no more: version {', '.join(map(str, key.delete_old(version)))}")


def _running() -> "Running":
    from tollgate_cli.rotation.running import Running

    return Running(Home.from_environment())
