"""Delivers an embedded suite's logins at its start: it asks Vault once, as the operator.

Promises: everything that is missing is said at once, with the command that mends it, before
anything starts; each service is handed a wrapped secret-id for each of its logins; the operator's
token is in this process's memory alone, and dropped once the suite serves. Never: makes a key, a
role or a policy, or replaces a wrapped key.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hvac import exceptions

from tollgate_cli import chosen_keyring, keyrings, service_keys, state_file
from tollgate_cli.chosen_keyring import FILES, VAULT, Chosen
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.vault import delivery, log_key, wanted
from tollgate_cli.vault.connection import Place, connected, operator_token
from tollgate_kit.secret import Secret

_SERVICES = tuple(service_keys.KEYS)
_LOGINS = tuple(login for name in _SERVICES for login in service_keys.logins(name))
TOKEN_TTL_S = wanted.TOKEN_TTL_S
_MAY_WRITE = {"update", "root"}


@dataclass(frozen=True)
class Asked:
    """The options of `tollgate up` about its keyring; None: as the home was made with."""

    keyring: str | None = None
    address: str | None = None
    ca_file: Path | None = None
    token_file: Path | None = None
    mount: str | None = None
    # In the place of a file or a variable.
    token: Secret | None = None


class VaultLogins:
    """The deliveries of one start."""

    def __init__(self, chosen: Chosen, token: Secret) -> None:
        self.chosen = chosen
        self._token: Secret | None = token

    @property
    def token(self) -> Secret:
        """The operator's token. Raises Fault once it was dropped."""
        if self._token is None:
            raise Fault("the operator's token was dropped when the suite had started")
        return self._token

    def drop(self) -> None:
        """Forgets the operator's token."""
        self._token = None

    def check(self, home: Home) -> None:
        """Raises Fault with everything that this Vault, this token or the home lacks."""
        with connected(self.place) as client:
            # Of a Vault that is sealed, new, or refuses the token, this is all there is to say.
            client.auth.token.lookup_self()
            lacks = [*self._lacking(client, home)]
        if lacks:
            raise Fault(
                "this Vault is not ready for the suite: " + "; ".join(what for what, _ in lacks),
                "; ".join(dict.fromkeys(remedy for _, remedy in lacks)),
            )

    def prepare(self, home: Home) -> None:
        """Wraps the keys that are missing, which is possible while nothing stands on them."""
        with connected(self.place) as client:
            for name in _unwrapped_keys(home):
                out = keyrings.wrapped_file(home.keyrings, name, 1)
                delivery.wrap_key(client, name, out, mount=self.chosen.mount, key_file=None)

    def wrap_version(self, out: Path, name: str) -> None:
        """Has Vault make and wrap one more version of a key, into a file that is not there yet."""
        with connected(self.place) as client:
            delivery.wrap_key(client, name, out, mount=self.chosen.mount, key_file=None)

    def deliver(self, home: Home) -> None:
        """Hands each login a wrapped secret-id, to be read within minutes."""
        self.deliver_to(home.vault_logins, _LOGINS)

    def deliver_to(self, directory: Path, logins: Iterable[str]) -> None:
        """Hands a wrapped secret-id to each of some logins, in a directory."""
        with connected(self.place) as client:
            for login in logins:
                out = _secret_id_file(directory, login)
                delivery.deliver(client, login, out, ttl_s=delivery.WRAPPED_AT_MOST_S)

    def signing(self, home: Home) -> dict[str, int]:
        """The version of the log's key that goes on to sign: the one that signed so far.

        None where its line is among the former ones: whoever put it there wants the newest.
        """
        former = state_file.lines(home.former_log_keys)
        is_former = any(line in former for line in state_file.lines(home.verifier_key)[:1])
        return {} if is_former else self.signed(home)

    def signed(self, home: Home) -> dict[str, int]:
        """The version of the log's key that signed so far; none of a key that is not Vault's."""
        signing = state_file.lines(home.verifier_key)[:1]
        if not signing:
            return {}
        with connected(self.place) as client:
            version = log_key.version_of(client, self.chosen.mount, signing[0])
        return {} if version is None else {service_keys.LOG_KEY: version}

    @property
    def place(self) -> Place:
        """Where this Vault is, and who asks it. Raises Fault once the token was dropped."""
        return Place(self.chosen.address, Path(self.chosen.ca_file), token=self.token)

    def _lacking(self, client: Any, home: Home) -> Iterator[tuple[str, str]]:
        """Yield each thing that Vault lacks, and the command that mends it."""
        at = f"--address {self.chosen.address} --ca-file {self.chosen.ca_file}"
        init = f"`tollgate vault init {at} --mount {self.chosen.mount}`".replace(
            f" --mount {wanted.MOUNT}`", "`"
        )
        for login in _LOGINS:
            yield from _role(client, home, login, init)
        for key in dict.fromkeys(key for keys in service_keys.KEYS.values() for key in keys):
            if _is_missing(client.secrets.transit.read_key, key, mount_point=self.chosen.mount):
                yield f"it has no key {self.chosen.mount}/{key}", init
        paths = [f"auth/approle/role/{wanted.PREFIX}{login}/secret-id" for login in _LOGINS]
        has_data = chosen_keyring.remembered(home) is not None
        for name in _unwrapped_keys(home):
            path = keyrings.wrapped_file(home.keyrings, name, 1)
            if has_data:
                yield f"{path} is missing", f"put {path.name} back from a copy"
            else:
                paths.append(f"{self.chosen.mount}/datakey/wrapped/{name}")
        for refused in _refused(client, paths):
            yield f"the token may not write {refused}", "use a token that may"


def asked(home: Home, options: Asked) -> VaultLogins | None:
    """What the options and the home say together; None: the keyring is files. Raises Fault."""
    before = chosen_keyring.remembered(home) or FILES
    kind = options.keyring or before.kind
    chosen_keyring.check_same(home, kind)
    if kind != VAULT:
        if options.address or options.ca_file or options.token_file or options.mount:
            raise Fault("the options --vault-… go with --keyring vault")
        return None
    return at_vault(before, options)


def at_vault(before: Chosen, options: Asked) -> VaultLogins:
    """The Vault of the options, or else of `before`. Raises Fault with all that is wrong."""
    faults: list[Fault] = []
    address = options.address or before.address or os.environ.get("VAULT_ADDR", "")
    if not address.startswith("https://"):
        what = f"{address!r} is no address of a Vault" if address else "no Vault is named"
        faults.append(Fault(what, "give --vault-addr https://HOST:8200, or set VAULT_ADDR"))
    ca_file = str(options.ca_file or before.ca_file or os.environ.get("VAULT_CACERT", ""))
    if not ca_file or not Path(ca_file).is_file():
        what = f"there is no file {ca_file}" if ca_file else "no authority of Vault's is named"
        faults.append(Fault(what, "give --vault-ca FILE, or set VAULT_CACERT"))
    token = options.token
    try:
        token = token or operator_token(options.token_file)
    except Fault as fault:
        remedy = fault.remedy.replace("--token-file", "--vault-token-file")
        faults.append(Fault(fault.problem, remedy))
    if faults or token is None:
        raise Fault("; ".join(f.problem for f in faults), "; ".join(f.remedy for f in faults))
    mount = options.mount or before.mount or wanted.MOUNT
    return VaultLogins(Chosen(VAULT, address, str(Path(ca_file).absolute()), mount), token)


def secret_id_file(home: Home, login: str) -> Path:
    """Where a login's secret-id is delivered to."""
    return _secret_id_file(home.vault_logins, login)


def _secret_id_file(directory: Path, login: str) -> Path:
    return directory / f"{login}.secret-id"


def undelivered(home: Home, service: str) -> list[str]:
    """For a service that is to start: the commands by which an operator hands it what it lacks."""
    if service not in service_keys.KEYS:
        return []
    lacking = [
        login for login in service_keys.logins(service) if not secret_id_file(home, login).exists()
    ]
    return [command(home, login) for login in lacking]


def command(home: Home, login: str) -> str:
    """How an operator delivers a secret-id to a login of this home."""
    at, out = chosen_keyring.in_vault(home), shlex.quote(str(secret_id_file(home, login)))
    place = f" --address {at.address} --ca-file {shlex.quote(at.ca_file)}" if at else ""
    return f"tollgate vault deliver {login} --out {out}{place}"


def _unwrapped_keys(home: Home) -> list[str]:
    """The keys that Vault is to wrap, and of which no version is in the home."""
    lacking = [
        key
        for service in _SERVICES
        for key in service_keys.wrapped(service)
        if key not in keyrings.versions_in_vault(home.keyrings, service)
    ]
    return list(dict.fromkeys(lacking))


def _role(client: Any, home: Home, login: str, init: str) -> Iterator[tuple[str, str]]:
    name = f"{wanted.PREFIX}{login}"
    beside = delivery.role_id_file(secret_id_file(home, login))
    try:
        client.auth.approle.read_role_id(name)
    except exceptions.InvalidPath:
        yield f"it has no role {name}", init
    except exceptions.Forbidden:
        if not beside.is_file():
            yield (
                f"the token may not read the role-id of {name}, and {beside} is not there",
                f"vault read -field=role_id auth/approle/role/{name}/role-id > {beside}",
            )


def _is_missing(read: Any, *arguments: str, **named: str) -> bool:
    """Whether Vault says that there is no such thing; a token that may not look says nothing."""
    try:
        read(*arguments, **named)
    except exceptions.InvalidPath:
        return True
    except exceptions.Forbidden:
        return False
    return False


def _refused(client: Any, paths: list[str]) -> list[str]:
    """The paths that the token may not write to."""
    try:
        found = client.sys.get_capabilities(paths)
    except exceptions.Forbidden:
        return []
    told = found.get("data", found)
    return [path for path in paths if not _MAY_WRITE & set(told.get(path, ()))]
