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


def run(identity: str, config_type: type[C], commands: Mapping[str, Command[C]]) -> int:
    """Read the command line and the configuration, run one command; the exit code.

    The first command is the default. A bad configuration exits with 2, every fault listed.
    """
    names = tuple(commands)
    parser = argparse.ArgumentParser(prog=f"tollgate-{identity}")
    parser.add_argument("--config", type=Path, required=True, help="the TOML file of this process")
    parser.add_argument("command", nargs="?", choices=names, default=names[0])
    arguments = parser.parse_args()
    config = load_or_exit(arguments.config, config_type)
    log = Log(identity)

    async def command(life: Lifecycle) -> None:
        life.configuration = partial(load, arguments.config, config_type)
        await commands[arguments.command](config, log, life)

    return lifecycle.run(command, log)
