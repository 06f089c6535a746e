"""Commands in what a person reads, spelled as that person must type them.

Texts name this program `tollgate`; in a checkout it is .venv/bin/tollgate, and not on the PATH.
In another home than the usual one it has to be told that home, too.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

from tollgate_cli.home import VARIABLE, Home

_NAME = "tollgate"
_COMMAND = re.compile(
    r"(?<![\w./-])tollgate"
    r"(?= (?:up|down|status|logs|tenant|group|key|provider|price|budget|audit|vault|keyring)\b"
    r"| rotate\b)"
)


def command() -> str:
    """How this program was called: its bare name where that finds it, after the home if one is set.

    A process of ours says the name alone: who shows its lines spells them.
    """
    called = sys.argv[0]
    if Path(called).name != _NAME:
        return _NAME
    found = shutil.which(_NAME)
    is_found = found is not None and Path(found).resolve() == Path(called).resolve()
    program = _NAME if is_found else shlex.quote(called)
    home = Home.from_environment()
    if home == Home.usual():
        return program
    return f"{VARIABLE}={shlex.quote(str(home.root))} {program}"


def typed(text: str) -> str:
    """A text with its commands as they are to be typed."""
    spelled = command()
    return _COMMAND.sub(lambda _: spelled, text)
