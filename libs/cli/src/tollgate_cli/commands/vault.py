"""`tollgate vault`: makes a Vault what Tollgate needs, and hands services what they log in with."""

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from tollgate_cli.fault import Fault
from tollgate_cli.vault import changes, delivery, wanted
from tollgate_cli.vault.connection import Place, connected

vaults = typer.Typer(help="Keys in HashiCorp Vault: set-up and delivery.", no_args_is_help=True)

_MOUNT = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)


def _mount(name: str) -> str:
    # It stands in the policies.
    if not _MOUNT.fullmatch(name):
        raise Fault(f"{name!r} is no place for an engine", "as in: --mount tollgate-transit")
    return name


Address = Annotated[str | None, typer.Option("--address", help="Default: $VAULT_ADDR.")]
CaFile = Annotated[Path | None, typer.Option("--ca-file", help="Default: $VAULT_CACERT.")]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="A 0400 file; default: $VAULT_TOKEN.")
]
Mount = Annotated[
    str, typer.Option("--mount", help="Where the transit engine is.", callback=_mount)
]
Out = Annotated[Path, typer.Option("--out", help="The file to write.")]


@vaults.command("init")
def vault_init(
    *,
    cidr: Annotated[
        list[str] | None,
        typer.Option(
            help="Network that a service may log in from: SERVICE=CIDR, or SERVICE=any. Repeatable;"
            " who is not named stays bound as before."
        ),
    ] = None,
    audit_file: Annotated[
        list[Path] | None,
        typer.Option(help="Enable an audit device that writes this file. Give two."),
    ] = None,
    secret_id_days: Annotated[
        int,
        typer.Option(min=0, max=30, help="Secret-ids good for N days, not once. Wants --cidr."),
    ] = 0,
    replace_mount: Annotated[
        bool,
        typer.Option("--replace-mount", help="Policies of another engine become those of --mount."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show, and change nothing.")] = False,
    mount: Mount = wanted.MOUNT,
    address: Address = None,
    ca_file: CaFile = None,
    token_file: TokenFile = None,
) -> None:
    """Make keys, roles and policies what Tollgate wants; a second run changes nothing.

    Shows every difference. What Vault cannot change is refused before anything is changed.
    """
    terms = wanted.LoginTerms(_networks(cidr or []), secret_id_days)
    files = audit_file or []
    _check(terms, files)
    with connected(Place(address, ca_file, token_file)) as client:
        found = changes.difference(
            client,
            mount=mount,
            terms=terms,
            audit_files=files,
            replaces_mount=replace_mount,
        )
        for change in found:
            print("\n".join((f"{change.title}:", *(f"  {line}" for line in change.lines))))
        refused = [change.refusal for change in found if change.refusal]
        if refused:
            raise Fault("nothing was changed: " + "; ".join(refused))
        if dry_run:
            print(f"{len(found)} differences; nothing was changed" if found else "no difference")
        else:
            for change in found:
                change.make()
            print(f"{len(found)} changes made" if found else "nothing to change")
        for remark in changes.remarks(client):
            print(f"note: {remark}")


@vaults.command("deliver")
def vault_deliver(
    service: Annotated[str, typer.Argument(help="For whom, as router or audit.")],
    out: Out,
    ttl_s: Annotated[
        int,
        typer.Option(
            "--ttl-s",
            min=delivery.WRAPPED_AT_LEAST_S,
            max=delivery.WRAPPED_AT_MOST_S,
            help="How many seconds the service has to read it.",
        ),
    ] = 120,
    unwrapped: Annotated[
        bool,
        typer.Option("--unwrapped", help="The secret-id itself: with init --secret-id-days alone."),
    ] = False,
    address: Address = None,
    ca_file: CaFile = None,
    token_file: TokenFile = None,
) -> None:
    """Write what a service logs in with: a wrapped secret-id, and its role-id beside it."""
    with connected(Place(address, ca_file, token_file)) as client:
        delivery.deliver(client, service, out, ttl_s=ttl_s, is_wrapped=not unwrapped)
    within = "" if unwrapped else f", once, within {ttl_s} s"
    beside = delivery.role_id_file(out).name
    print(f"{out}: to be read by {service} alone{within}; its role-id is in {beside}")


@vaults.command("wrap-key")
def vault_wrap_key(
    name: Annotated[str, typer.Argument(help=" or ".join(wanted.WRAPPED_KEYS))],
    out: Out,
    key_file: Annotated[
        Path | None, typer.Option(help="Wrap the 32 bytes of this file; default: new ones.")
    ] = None,
    mount: Mount = wanted.MOUNT,
    address: Address = None,
    ca_file: CaFile = None,
    token_file: TokenFile = None,
) -> None:
    """Write a key that only Vault can unwrap. A new one is made in Vault, seen by nobody."""
    with connected(Place(address, ca_file, token_file)) as client:
        delivery.wrap_key(client, name, out, mount=mount, key_file=key_file)
    print(f"{out}: the key {name}, wrapped")


def _check(terms: wanted.LoginTerms, audit_files: Sequence[Path]) -> None:
    """Raises Fault for what no Vault need be asked about."""
    unbound = [service for service in wanted.SERVICES if not terms.cidrs.get(service)]
    if terms.secret_id_days and unbound:
        raise Fault(
            f"a secret-id of {terms.secret_id_days} days must be bound to a network; none is given "
            f"for: {', '.join(unbound)}",
            "give --cidr SERVICE=CIDR for each, or deliver secret-ids that are good once",
        )
    if len(set(audit_files)) < len(audit_files):
        raise Fault(
            "--audit-file names one file twice: two audit devices are for when one blocks",
            "give two files, on two disks",
        )


def _networks(options: list[str]) -> dict[str, tuple[str, ...]]:
    """Which networks each service is bound to. Raises Fault with everything that is wrong."""
    found: dict[str, tuple[str, ...]] = {}
    wrong: list[str] = []
    for option in options:
        service, _, network = option.partition("=")
        if service not in wanted.SERVICES:
            wrong.append(f"--cidr {option}: there is no service {service!r}")
            continue
        if network == "any":
            found[service] = ()
            continue
        try:
            text = str(ipaddress.ip_network(network))
        except ValueError as error:
            wrong.append(f"--cidr {option}: {error}")
        else:
            found[service] = (*found.get(service, ()), text)
    if wrong:
        raise Fault("; ".join(wrong), f"SERVICE=CIDR; services: {', '.join(wanted.SERVICES)}")
    return found
