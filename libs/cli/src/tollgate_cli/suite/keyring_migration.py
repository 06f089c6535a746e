"""Moves a stopped suite from its file keyrings to a Vault, or back.

Promises: keys first, then rows, then the home says which keyring it has: so a run that was ended
anywhere is begun again, or gone back from, and nothing is lost or made twice; no suite
starts between. The files of the former keyring stay;
who runs the suite removes them. Never: two keyrings at work at once.
"""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tollgate_cli import chosen_keyring, keyrings, service_keys, state_file
from tollgate_cli.chosen_keyring import FILES, VAULT, Chosen
from tollgate_cli.deployment import toml_text, topology_file
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import kept_secret, write_private
from tollgate_cli.suite import service_configs
from tollgate_cli.suite.engines.postgres import EmbeddedPostgres, wait_ready
from tollgate_cli.suite.plan import Plan
from tollgate_cli.suite.processes import lock
from tollgate_cli.suite.processes.child import Child
from tollgate_cli.suite.processes.ports import Ports
from tollgate_cli.suite.service_configs import ORIGIN, LocalPlaces
from tollgate_cli.suite.vault_logins import VaultLogins
from tollgate_cli.vault import key_moves
from tollgate_cli.vault.connection import connected
from tollgate_kit.clock import SystemClock
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.keyring.base import versioned
from tollgate_kit.keyring.rekey import Step
from tollgate_kit.secret import Secret

_STORES = ("router", "audit")
_REKEY_TIMEOUT_S = 24 * 3600.0
_Look = Callable[[Path, str], Mapping[str, list[int]]]


@dataclasses.dataclass(frozen=True)
class How:
    """The losses that an operator agrees to."""

    # Vault's own log key, which signed nothing, goes.
    replace_log_key: bool
    # Rows that neither keyring opens stay behind.
    leave_unreadable: bool


def migrate(home: Home, to: str, logins: VaultLogins, say: Callable[[str], None], how: How) -> None:
    """Move everything to the other keyring. Raises Fault; of two at once, in one of them."""
    if home.root.is_dir():
        lock.alone(home.root / "move.lock", f"another move of the keys of {home.root} is under way")
    with lock.SuiteLock(home.lock):
        found = chosen_keyring.remembered(home)
        if found is None:
            raise Fault(f"{home.root} holds nothing yet", "start it with the keyring that you want")
        if found.kind == to and not found.moving:
            say(f"the keyring of {home.root} is {to} already")
            return
        vault = logins.chosen
        present, former = (vault, FILES) if to == VAULT else (FILES, vault)
        if found.kind == to:
            say("going back: the keys that services keep in memory are there")
            if to == VAULT:
                # What waits to be published may have been marked by it.
                _list_former(home, add=[keyrings.log_line(home.keyrings, ORIGIN)])
        elif to == VAULT:
            require_first_log_key(home)
            # An older home that did not say, and now has wrapped keys, would not be known again.
            chosen_keyring.remember(home, found)
            say("moving the keys that services keep in memory")
            _keys_to_vault(home, logins, replace=how.replace_log_key)
        else:
            say("moving the keys that services keep in memory")
            _keys_to_files(home, logins)
        signing = logins.signed(home)
        with _postgres(home, logins) as ports:
            rekey = partial(_rekey, home, ports, (former, present), signing)
            if not how.leave_unreadable:
                for name in _STORES:
                    say(f"looking at what {name} stores")
                    logins.deliver(home)
                    rekey(name, Step.CHECK)
            if found.kind != to:
                chosen_keyring.remember(home, dataclasses.replace(former, moving=to))
            for name in _STORES:
                say(f"moving what {name} stores")
                logins.deliver(home)
                rekey(name, Step.REST)
        # What signs from now on is no former key, nor what a move that was gone back from had made.
        signs_on = state_file.lines(home.verifier_key)[:1] if to == VAULT else []
        _list_former(home, remove=[keyrings.log_line(home.keyrings, ORIGIN), *signs_on])
        chosen_keyring.remember(home, present)


def require_first_log_key(home: Home) -> None:
    """Raises Fault for a log's key that was rotated: only its first version can be moved."""
    path, _ = keyrings.files(home.keyrings, "audit")
    found = [name for name in keyring_file.names(path) if name.startswith(service_keys.LOG_KEY)]
    if found != [service_keys.LOG_KEY]:
        raise Fault(
            f"audit has the log's key as {', '.join(found)}, and only a first one can be moved",
            "stay with files: docs/secrets.md, In Vault",
        )


def _keys_to_vault(home: Home, logins: VaultLogins, *, replace: bool) -> None:
    mount = logins.chosen.mount
    with connected(logins.place) as client:
        moved: set[Path] = set()
        for service, name, version in _mac_versions(home, keyrings.versions):
            key = keyrings.opened(home.keyrings, service).key_bytes(versioned(name, version), "mac")
            path = keyrings.wrapped_file(home.keyrings, name, version)
            if not path.exists():
                write_private(path, key_moves.wrapped(client, mount, name, key) + "\n")
            elif key_moves.unwrapped(client, mount, name, path.read_text().strip()) != key:
                raise Fault(f"{path} wraps another key", "move it away, and run this again")
            moved.add(path)
        # Of an earlier time in Vault: these versions were deleted since, and are not to come back.
        former = {*home.keyrings.glob("*.wrapped"), *home.keyrings.glob("*.vkey")}
        for path in former - moved:
            path.unlink()
        log_key = keyrings.opened(home.keyrings, "audit").key_bytes(service_keys.LOG_KEY, "ed25519")
        key_moves.import_log_key(client, mount, log_key, replace=replace)


def _keys_to_files(home: Home, logins: VaultLogins) -> None:
    mount = logins.chosen.mount
    macs: dict[str, dict[str, Secret]] = {service: {} for service in service_keys.KEYS}
    with connected(logins.place) as client:
        for service, name, version in _mac_versions(home, keyrings.versions_in_vault):
            text = keyrings.wrapped_file(home.keyrings, name, version).read_text().strip()
            key = key_moves.unwrapped(client, mount, name, text)
            macs[service][versioned(name, version)] = key
    for service, present in macs.items():
        _keys_to_file(home, service, present)
    # The log's key stays in Vault: what it signed is verified with it, and the next with another.
    _list_former(home, add=state_file.lines(home.verifier_key))
    _end_former_log_key(home)


def _end_former_log_key(home: Home) -> None:
    """A key of before, which the log left while it was in Vault, is not to sign again."""
    line = keyrings.log_line(home.keyrings, ORIGIN)
    signing = state_file.lines(home.verifier_key)[:1]
    if line in state_file.lines(home.former_log_keys) and [line] != signing:
        another = {service_keys.LOG_KEY: ("ed25519", keyring_file.fresh_key())}
        path, unlock = keyrings.with_unlock(home.keyrings, "audit")
        keyring_file.change(path, unlock, add=another, remove=[service_keys.LOG_KEY])


def _list_former(home: Home, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Change which keys count as former ones of the log."""
    lines = dict.fromkeys([*state_file.lines(home.former_log_keys), *add])
    kept = [line for line in lines if line not in remove]
    write_private(home.former_log_keys, "".join(f"{line}\n" for line in kept))


def _keys_to_file(home: Home, service: str, macs: Mapping[str, Secret]) -> None:
    """These keys for HMAC and no others, beside the others that are there, or are made now."""
    path, unlock_file = keyrings.files(home.keyrings, service)
    unlock = Secret(kept_secret(unlock_file, mode=0o400))
    others = {name: kind for name, kind in service_keys.KEYS[service].items() if kind != "mac"}
    if not os.path.lexists(path):
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        keyring_file.create(fresh, unlock, {**others, **dict.fromkeys(macs, "mac")}, given=macs)
        fresh.rename(path)
    there = {
        versioned(name, version)
        for name, numbers in keyrings.versions(home.keyrings, service).items()
        if name in service_keys.wrapped(service)
        for version in numbers
    }
    for name in there & set(macs):
        if keyrings.opened(home.keyrings, service).key_bytes(name, "mac") != macs[name]:
            raise Fault(f"{path} has another {name}", "move it away, and run this again")
    if there != set(macs):
        # Rotated while the keys were in Vault: what was deleted there is not to come back.
        added = {name: ("mac", key) for name, key in macs.items() if name not in there}
        keyring_file.change(path, unlock, add=added, remove=there - set(macs))


def _mac_versions(home: Home, look: _Look) -> Iterator[tuple[str, str, int]]:
    """Yield service, key and number of each version of a key for HMAC."""
    for service in service_keys.KEYS:
        found = look(home.keyrings, service)
        for name in service_keys.wrapped(service):
            if name not in found:
                raise Fault(f"{service} has no {name}", "put it back from a copy")
            for version in found[name]:
                yield service, name, version


@contextmanager
def _postgres(home: Home, logins: VaultLogins) -> Iterator[Ports]:
    """The suite's PostgreSQL alone, while rows are moved."""
    topology = topology_file.packaged()
    ports = Ports(home.ports_json, fixed={}, usual={})
    clock = SystemClock()
    plan = Plan(home, topology, ports, edges=1, demo=False, vault=logins, clock=clock)
    engine = EmbeddedPostgres(
        home.root / "postgres",
        port=ports.port("postgres"),
        password_file=home.secrets / "postgres-superuser",
    )
    engine.await_orphans()
    child = Child("postgres", engine.command(home.log("postgres")))
    try:
        if not wait_ready(engine, timeout_s=60):
            raise Fault("PostgreSQL does not start", f"log: {home.log('postgres')}")
        plan.open_databases()
        yield ports
    finally:
        child.stop(timeout_s=30)


def _rekey(
    home: Home,
    ports: Ports,
    keyrings_of: tuple[Chosen, Chosen],
    signing: Mapping[str, int],
    name: str,
    step: Step,
) -> None:
    """Has the service look at or move what it stores, by its own rights; its bar is shown.

    `keyrings_of` it: the former and the present one.
    """
    paths = []
    for which, chosen in zip(("former", "present"), keyrings_of, strict=True):
        places = LocalPlaces(home, ports.address, ports.metrics_address, chosen, signing=signing)
        documents = service_configs.documents(topology_file.packaged(), places, (), demo=False)
        path = home.run / f"{name}-{which}.toml"
        write_private(path, toml_text.render(documents[name]))
        paths.append(str(path))
    argv = [sys.executable, "-m", f"tollgate_{name}", "--config", paths[1], step.value]
    log = home.log(f"{name}-rekey")
    with log.open("wb") as output:
        done = subprocess.run(
            [*argv, "--from", paths[0]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            check=False,
            timeout=_REKEY_TIMEOUT_S,
        )
    if done.returncode and step is Step.CHECK:
        raise Fault(
            f"not all that {name} stores could be opened: no row was moved",
            "put back the keyring or the rows that are named; or `--leave-unreadable` moves all "
            f"others, and the named ones stay as they are; log: {log}",
        )
    if done.returncode:
        raise Fault(f"what {name} stores could not all be moved", f"run this again; log: {log}")
