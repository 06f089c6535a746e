"""The `tollgate` command: what it can do, and how it fails (two lines, no traceback, exit 1)."""

import os
import sys

import typer

from tollgate_cli import commands_suite
from tollgate_cli.commands_audit import audits
from tollgate_cli.commands_budget import budgets
from tollgate_cli.commands_key import keys
from tollgate_cli.commands_provider import prices, providers
from tollgate_cli.commands_tenant import groups, tenants
from tollgate_cli.fault import Fault

app = typer.Typer(
    help="Tollgate: an AI API gateway with a hard dollar cap and evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
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
}.items():
    app.add_typer(group, name=name)


def main() -> None:
    """The entry point."""
    try:
        app()
    except Fault as fault:
        print(f"tollgate: {fault.problem}", file=sys.stderr)
        if fault.remedy:
            print(f"  {fault.remedy}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough. Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
