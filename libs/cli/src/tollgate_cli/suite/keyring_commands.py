"""`tollgate keyring`: moves a stopped suite to another keyring."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tollgate_cli import chosen_keyring, hint
from tollgate_cli.chosen_keyring import FILE, FILES, VAULT
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home

keyring = typer.Typer(help="Where the suite's keys are.", no_args_is_help=True)


@keyring.callback()
def _group() -> None:
    """A group though it has one command."""


@keyring.command("migrate")
def keyring_migrate(
    *,
    come_from: Annotated[str, typer.Option("--from", help="file or vault.")],
    to: Annotated[str, typer.Option("--to", help="vault or file.")],
    replace_log_key: Annotated[
        bool,
        typer.Option("--replace-log-key", help="Vault's own log key has signed nothing."),
    ] = False,
    leave_unreadable: Annotated[
        bool,
        typer.Option("--leave-unreadable", help="Rows that neither keyring opens stay, named."),
    ] = False,
    address: Annotated[
        str | None, typer.Option("--vault-addr", help="Default: $VAULT_ADDR.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--vault-ca", help="Default: $VAULT_CACERT.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--vault-token-file", help="Default: $VAULT_TOKEN.")
    ] = None,
    mount: Annotated[str | None, typer.Option("--vault-mount", help="Default: transit.")] = None,
) -> None:
    """Move every key, and all that is encrypted, to the other keyring. The suite must be stopped.

    A run that was ended in any way is begun again; what was moved is not moved twice.
    """
    if {come_from, to} != {FILE, VAULT}:
        raise Fault("--from and --to are file and vault, one each")
    from tollgate_cli.suite import keyring_migration, vault_logins

    home = Home.from_environment()
    before = chosen_keyring.remembered(home) or FILES
    asked = vault_logins.Asked(VAULT, address, ca_file, token_file, mount)
    logins = vault_logins.at_vault(before, asked)
    # No process that moves rows is to find an operator's token in its environment.
    os.environ.pop("VAULT_TOKEN", None)
    how = keyring_migration.How(replace_log_key, leave_unreadable)
    keyring_migration.migrate(home, to, logins, print, how)
    print(hint.typed(f"the keys are in {to}; start it: `tollgate up --keyring {to}`"))
    if to == VAULT:
        print(
            f"once it serves, remove the former keyrings: {home.keyrings}/*.json and *.unlock; who "
            "has a copy of them and of the databases can read what was encrypted before"
        )
