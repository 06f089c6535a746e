"""Puts the `tollgate` command together from its subcommands."""

from typing import Annotated

import typer

from tollgate_cli.commands.audit import audits
from tollgate_cli.commands.budget import budgets
from tollgate_cli.commands.key import keys
from tollgate_cli.commands.price import prices
from tollgate_cli.commands.provider import providers
from tollgate_cli.commands.tenant import groups, tenants
from tollgate_cli.commands.vault import vaults
from tollgate_cli.rotation.commands import rotations
from tollgate_cli.suite import commands as commands_suite
from tollgate_cli.suite import status as suite_status
from tollgate_cli.suite.keyring_commands import keyring

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"tollgate {suite_status.version()}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Tollgate: an AI API gateway with a hard dollar cap and evidence."""


for command in (
    commands_suite.up,
    commands_suite.down,
    commands_suite.status,
    commands_suite.logs,
):
    app.command()(command)
for name, group in {
    "tenant": tenants,
    "group": groups,
    "key": keys,
    "provider": providers,
    "price": prices,
    "budget": budgets,
    "audit": audits,
    "vault": vaults,
    "rotate": rotations,
    "keyring": keyring,
}.items():
    app.add_typer(group, name=name)
