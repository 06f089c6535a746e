"""What each operator command shares: its options, and running one coroutine against the suite."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from tollgate_cli import money
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.operator_client import Operator, OperatorConfig, load

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; amounts are integers.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--operator-config", help="Default: operator.toml in $TOLLGATE_HOME."),
]
MonthlyUsd = Annotated[
    str | None,
    typer.Option("--monthly-usd", help="The cap of a calendar month (UTC), as 5 or 0.25."),
]
# How a price is told of what is counted in tokens, in requests and in sessions.
_PARSED: Mapping[str, Callable[[str], int]] = {
    "tokens": money.parse_usd_per_mtok,
    "requests": money.parse_usd_per_thousand,
    "sessions": money.parse_usd_each,
}


def configuration(config_file: Path | None) -> OperatorConfig:
    """The operator's configuration."""
    path = config_file or Home.from_environment().operator_toml
    return load(path.absolute(), given=config_file is not None)


def run(config_file: Path | None, work: Callable[[Operator], Awaitable[T]]) -> T:
    """Runs `work` with open channels to the suite. Raises Fault."""
    settings = configuration(config_file)

    async def main() -> T:
        async with Operator(settings) as operator:
            return await work(operator)

    return asyncio.run(main())


def nano_usd(text: str | None) -> int | None:
    """An option's dollars; None if it was not given. Raises Fault."""
    return _amount(text, money.parse_usd)


def pico_usd(text: str | None, counted: str) -> int | None:
    """An option's dollars, as people tell them for what is counted, as pico-USD for one.

    Raises Fault.
    """
    return _amount(text, _PARSED[counted])


def permille(text: str | None) -> int | None:
    """An option's factor as thousandths. Raises Fault."""
    return _amount(text, money.parse_factor)


def _amount(text: str | None, parse: Callable[[str], int]) -> int | None:
    try:
        return None if text is None else parse(text)
    except money.BadAmount as bad:
        raise Fault(str(bad)) from bad
