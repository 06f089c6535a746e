"""What the `rekey` commands of services share: look first, then move, and say what stays.

Promises: with a row that neither keyring opens nothing is moved, unless it was said that such rows
stay; they are named on standard error by their ids, never by what is in them.
"""

import enum
import sys

from tollgate_kit.keyring.base import Keyring, KeyringFault, Versioned
from tollgate_kit.keyring.move import Rows, RowsLeft, check, move, renew
from tollgate_kit.keyring.progress import Bar


class Step(enum.Enum):
    """A command of a service, by its name."""

    # Every row is opened, and none is moved.
    CHECK = "rekey-check"
    # The same, and then all are moved.
    ALL = "rekey"
    # What can be opened is moved; what cannot is named and stays.
    REST = "rekey-rest"


async def rekey_rows(
    step: Step, rows: Rows, name: str, *, former: Keyring, keyring: Keyring, title: str
) -> int:
    """How many rows were moved now. Raises KeyringFault, RowsLeft."""
    try:
        if step is not Step.REST:
            bar = Bar(f"{title}, looked at", sys.stderr)
            await check(rows, name, former=former, keyring=keyring, progress=bar)
        if step is Step.CHECK:
            return 0
        bar = Bar(title, sys.stderr)
        return await move(rows, name, former=former, keyring=keyring, progress=bar)
    except RowsLeft as left:
        sys.stderr.write(f"{title}: {left}\n")
        if step is Step.REST and left.moved is not None:
            return left.moved
        raise


async def renew_rows(rows: Rows, name: str, *, keyring: Keyring, title: str) -> int:
    """How many rows were encrypted anew now. Raises KeyringFault, RowsLeft."""
    if not isinstance(keyring, Versioned):
        raise KeyringFault(f"this keyring does not tell the versions of {name} apart")
    try:
        return await renew(rows, name, keyring, Bar(title, sys.stderr))
    except RowsLeft as left:
        sys.stderr.write(f"{title}: {left}\n")
        raise
