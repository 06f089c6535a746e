"""What stands between a Vault and what Tollgate wants of it, and making it so.

Promises: a look changes nothing; what is right already is no change, so that a second run makes
none; what Vault cannot change is refused before anything is changed, and so is what would take
another engine from those who use it. Never: removes a key.
"""

import contextlib
import difflib
import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hvac import exceptions

from tollgate_cli.vault import wanted
from tollgate_cli.vault.wanted import Key, LoginTerms

_KEY_SETTINGS = ("deletion_allowed", "auto_rotate_period")
# What Vault lets one turn on, and never off again, or not change at all.
_KEY_FOR_EVER = ("type", "derived", "exportable", "allow_plaintext_backup")
# The engine of a path that a policy names.
_ENGINE_OF = re.compile(r'"([^"]+)/(?:encrypt|decrypt|sign|rewrap|keys|datakey/\w+)/[^"/]+"')


@dataclass(frozen=True)
class Change:
    """One difference, as a person reads it, and what removes it."""

    title: str
    lines: tuple[str, ...]
    make: Callable[[], object]
    # Why Vault cannot make it, and what to do; empty: it can.
    refusal: str = ""


def difference(
    client: Any,
    *,
    mount: str,
    terms: LoginTerms,
    audit_files: Sequence[Path],
    replaces_mount: bool = False,
) -> list[Change]:
    """Every change that is needed, in the order in which they are to be made.

    `replaces_mount`: the policies that are of another engine may become those of this one.
    """
    return [
        *_audit_devices(client, audit_files),
        *_mounts(client, mount),
        *(change for key in wanted.KEYS if (change := _key(client, mount, key))),
        *_policies(client, mount, replaces_mount=replaces_mount),
        *(change for service in wanted.SERVICES if (change := _role(client, service, terms))),
    ]


def remarks(client: Any) -> list[str]:
    """What a person should look at, and this program leaves alone."""
    found = []
    # A token for set-up need not see audit devices.
    with contextlib.suppress(exceptions.Forbidden):
        devices = len(client.sys.list_enabled_audit_devices()["data"])
        if devices == 0:
            found.append("no audit device is enabled: nobody would see who opened what")
        elif devices == 1:
            found.append(
                "one audit device is enabled: when it blocks, Vault stops; enable a second"
            )
    known = {*wanted.policies(wanted.MOUNT), f"{wanted.PREFIX}operator"}
    policies = set(client.sys.list_policies()["data"]["policies"])
    roles = set()
    with contextlib.suppress(exceptions.InvalidPath):
        roles = set(client.auth.approle.list_roles()["data"]["keys"])
    for kind, names, remedy in (
        ("policy", policies, "vault policy delete"),
        ("role", roles, "vault delete auth/approle/role/"),
    ):
        found += [
            f"{kind} {name} is not of this version; to remove it: {remedy} {name}".replace(
                "/ ", "/"
            )
            for name in sorted(names - known)
            if name.startswith(wanted.PREFIX)
        ]
    return found


def _audit_devices(client: Any, files: Sequence[Path]) -> Iterator[Change]:
    if not files:
        return
    enabled = client.sys.list_enabled_audit_devices()["data"]
    known = {device["options"].get("file_path") for device in enabled.values()}
    numbered = (f"{wanted.PREFIX}{number}" for number in itertools.count(1))
    free = (name for name in numbered if f"{name}/" not in enabled)
    for file in map(str, files):
        if file not in known:
            name = next(free)
            options = {"file_path": file}
            make = partial(client.sys.enable_audit_device, "file", path=name, options=options)
            yield Change(f"audit device {name}", (f"+ file {file}",), make)


def _mounts(client: Any, mount: str) -> Iterator[Change]:
    engines = client.sys.list_mounted_secrets_engines()["data"]
    found = engines.get(f"{mount}/")
    if found is None:
        make = partial(client.sys.enable_secrets_engine, "transit", path=mount)
        yield Change(f"secrets engine {mount}", ("+ transit",), make)
    elif found["type"] != "transit":
        yield Change(
            f"secrets engine {mount}",
            (f"- {found['type']}", "+ transit"),
            _nothing,
            f"{mount} is an engine of another type: name another with --mount",
        )
        return
    if found is None or not _refuses_upsert(client, mount):
        make = partial(
            client.adapter.post, f"/v1/{mount}/config/keys", json={"disable_upsert": True}
        )
        yield Change(f"secrets engine {mount}", ("+ disable_upsert = true",), make)
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        yield Change(
            "auth method approle", ("+ approle",), partial(client.sys.enable_auth_method, "approle")
        )


def _refuses_upsert(client: Any, mount: str) -> bool:
    answer = client.adapter.get(f"/v1/{mount}/config/keys")
    return bool(answer["data"].get("disable_upsert"))


def _key(client: Any, mount: str, key: Key) -> Change | None:
    settings = {
        "type": key.kind,
        "derived": key.is_derived,
        "exportable": False,
        "allow_plaintext_backup": False,
        "deletion_allowed": False,
        "auto_rotate_period": key.rotated_every_s,
    }
    title = f"key {mount}/{key.name}"
    try:
        found = client.secrets.transit.read_key(key.name, mount_point=mount)["data"]
    except exceptions.InvalidPath:
        body = {name: value for name, value in settings.items() if name != "deletion_allowed"}
        make = partial(client.adapter.post, f"/v1/{mount}/keys/{key.name}", json=body)
        return Change(title, _added(settings), make)
    lines, different = _compared(settings, found)
    if not different:
        return None
    refusal = ""
    if stuck := [name for name in _KEY_FOR_EVER if name in different]:
        refusal = (
            f"{title}: Vault cannot change {', '.join(stuck)} of a key that exists; if it is not "
            f"yours, name another engine with --mount; if it has encrypted nothing, delete it "
            f"(vault write {mount}/keys/{key.name}/config deletion_allowed=true; "
            f"vault delete {mount}/keys/{key.name}) and run this again"
        )
    body = {name: settings[name] for name in _KEY_SETTINGS}
    make = partial(client.adapter.post, f"/v1/{mount}/keys/{key.name}/config", json=body)
    return Change(title, lines, make, refusal)


def _policies(client: Any, mount: str, *, replaces_mount: bool) -> Iterator[Change]:
    others: set[str] = set()
    if not replaces_mount:
        engines = client.sys.list_mounted_secrets_engines()["data"]
        others = {name.rstrip("/") for name in engines} - {mount}
    for name, text in wanted.policies(mount).items():
        try:
            found = client.sys.read_policy(name)["data"]["rules"]
        except exceptions.InvalidPath:
            found = ""
        if found.strip() == text.strip():
            continue
        lines = difflib.unified_diff(
            found.splitlines(), text.splitlines(), "in Vault", "wanted", lineterm=""
        )
        make = partial(client.sys.create_or_update_policy, name, text)
        lost, refusal = others & set(_ENGINE_OF.findall(found)), ""
        if lost:
            # Said once, not for each policy.
            others = set()
            refusal = (
                f"the policies in this Vault are of the engine {', '.join(sorted(lost))}, and "
                f"{mount} in their place would take its keys from every service that runs on it; "
                f"--mount {min(lost)} goes on with it; if nothing uses it any more: "
                "--replace-mount"
            )
        yield Change(f"policy {name}", tuple(lines), make, refusal)


def _role(client: Any, service: str, terms: LoginTerms) -> Change | None:
    name = wanted.PREFIX + service
    settings = wanted.role(service, terms)
    title = f"role {name}"
    # Of the settings as they are in the end: bindings that stay are filled in below.
    make = partial(client.adapter.post, f"/v1/auth/approle/role/{name}", json=settings)
    try:
        found = client.auth.approle.read_role(name)["data"]
    except exceptions.InvalidPath:
        return Change(title, _added(settings), make)
    if service not in terms.cidrs:
        settings |= {name: _there(name, found[name]) for name in wanted.BOUND_CIDRS}
    lines, different = _compared(settings, found)
    return Change(title, lines, make) if different else None


def _there(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(_network if name in wanted.BOUND_CIDRS else str, value))
    return value


def _compared(
    settings: Mapping[str, object], found: Mapping[str, Any]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """Each setting that differs as two lines, and the names of them."""
    lines, different = [], []
    for name, value in settings.items():
        there = _there(name, found.get(name))
        if (there or None) != (value or None):
            different.append(name)
            lines += [f"- {name} = {_shown(there)}", f"+ {name} = {_shown(value)}"]
    return tuple(lines), frozenset(different)


def _network(text: str) -> str:
    """Vault leaves the length of a single address out, and Tollgate does not."""
    return str(ipaddress.ip_network(text, strict=False))


def _added(settings: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"+ {name} = {_shown(value)}" for name, value in settings.items())


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "any"
    return str(value)


def _nothing() -> None:
    """Stands where a refusal comes first."""
