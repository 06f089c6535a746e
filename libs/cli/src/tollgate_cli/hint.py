"""Commands in what a person reads, spelled as that person must type them.

Texts name this program `tollgate`; in a checkout it is .venv/bin/tollgate, and not on the PATH.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path

_NAME = "tollgate"
_COMMAND = re.compile(
    r"(?<![\w./-])tollgate"
    r"(?= (?:up|down|status|logs|tenant|group|key|provider|price|budget|audit)\b)"
)


def command() -> str:
    """How this program was called; its bare name where that finds it."""
    called = sys.argv[0]
    found = shutil.which(_NAME)
    is_found = found is not None and Path(found).resolve() == Path(called).resolve()
    return _NAME if is_found or Path(called).name != _NAME else shlex.quote(called)


def typed(text: str) -> str:
    """A text with its commands as they are to be typed."""
    spelled = command()
    return _COMMAND.sub(lambda _: spelled, text)
