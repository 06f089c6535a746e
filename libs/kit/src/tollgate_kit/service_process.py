"""The command line of a service: `python -m PACKAGE --config FILE [COMMAND]`, then run it."""

import argparse
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from tollgate_kit import lifecycle
from tollgate_kit.config import load, load_or_exit
from tollgate_kit.lifecycle import Lifecycle
from tollgate_kit.logs import Log

C = TypeVar("C")
# What a command does with the configuration, until it is done or told to stop.
Command = Callable[[C, Log, Lifecycle], Awaitable[None]]
# The same of one that leads from a former configuration, which comes first, to the present one.
Transition = Callable[[C, C, Log, Lifecycle], Awaitable[None]]


def run(
    identity: str,
    config_type: type[C],
    commands: Mapping[str, Command[C]],
    transitions: Mapping[str, Transition[C]] | None = None,
) -> int:
    """Read the command line and the configuration, run one command; the exit code.

    The first command is the default. A bad configuration exits with 2, every fault listed.
    A transition is given the former configuration by `--from FILE`.
    """
    transitions = transitions or {}
    names = (*commands, *transitions)
    parser = argparse.ArgumentParser(prog=f"tollgate-{identity}")
    parser.add_argument("--config", type=Path, required=True, help="the TOML file of this process")
    parser.add_argument("command", nargs="?", choices=names, default=names[0])
    if transitions:
        told = f"the former TOML file, for: {', '.join(transitions)}"
        parser.add_argument("--from", type=Path, dest="former", help=told)
    arguments = parser.parse_args()
    transition = transitions.get(arguments.command)
    if transition is not None and arguments.former is None:
        parser.error(f"{arguments.command} wants --from FILE")
    config = load_or_exit(arguments.config, config_type)
    log = Log(identity)

    run_it = commands.get(arguments.command)
    if transition is not None:
        former = load_or_exit(arguments.former, config_type)
        run_it = partial(transition, former)
    assert run_it is not None, "the parser takes no other name"

    async def command(life: Lifecycle) -> None:
        life.configuration = partial(load, arguments.config, config_type)
        await run_it(config, log, life)

    return lifecycle.run(command, log)
