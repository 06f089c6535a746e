"""Which keyring a home was made with: files, or a Vault. Said once, in a file without a secret.

Promises: what one keyring encrypted is never looked for in the other: a start with another one than
the home's is refused. A home in which nothing was encrypted yet may have either.
"""

import json
from dataclasses import asdict, dataclass

from tollgate_cli import state_file
from tollgate_cli.fault import Fault
from tollgate_cli.home import Home
from tollgate_cli.private_file import write_private

FILE, VAULT = "file", "vault"
_REMEDY = 'put it back: {"kind": "file"}, or kind vault with address, ca_file and mount'


@dataclass(frozen=True)
class Chosen:
    """A keyring; the fields after `kind` say where a Vault is, and are empty for files."""

    kind: str = FILE
    address: str = ""
    ca_file: str = ""
    mount: str = ""
    # The kind that a move goes to which has begun, and not ended.
    moving: str = ""


FILES = Chosen()


def remembered(home: Home) -> Chosen | None:
    """The keyring of what a home holds; None: it holds nothing yet. Raises Fault."""
    if not (home.root / "postgres" / "data").exists():
        return None
    try:
        document = state_file.read_json(home.keyring_json, _REMEDY)
    except FileNotFoundError:
        if any(home.keyrings.glob("*.wrapped")):
            raise Fault(
                f"{home.keyring_json} is missing, and there are keys of Vault's", _REMEDY
            ) from None
        # Older homes do not say, and have files.
        return FILES
    told = {name: document.get(name, "") for name in asdict(Chosen())}
    are_texts = all(isinstance(value, str) for value in told.values())
    if (
        not are_texts
        or told["kind"] not in {FILE, VAULT}
        or told["moving"] not in {"", FILE, VAULT}
    ):
        raise Fault(f"{home.keyring_json} was altered: it names no keyring", _REMEDY)
    return Chosen(**told)


def in_vault(home: Home) -> Chosen | None:
    """The Vault with a home's keys; None where they are in files. Raises Fault.

    Files of a time before may lie beside it: they are not the home's keys.
    """
    found = remembered(home)
    return found if found is not None and found.kind == VAULT else None


def remember(home: Home, chosen: Chosen) -> None:
    """From now on, what this home holds is of this keyring."""
    write_private(home.keyring_json, json.dumps(asdict(chosen), indent=1) + "\n")


def go_on(found: Chosen) -> str:
    """Return the command that ends a move which was cut short."""
    return f"tollgate keyring migrate --from {found.kind} --to {found.moving}"


def check_same(home: Home, kind: str) -> None:
    """Raises Fault if what the home holds is of another kind of keyring, or of both."""
    found = remembered(home)
    if found is not None and found.moving:
        raise Fault(
            f"a move of the keys of {home.root} from {found.kind} to {found.moving} has not ended",
            f"`{go_on(found)}` goes on with it",
        )
    if found is not None and found.kind != kind:
        raise Fault(
            f"{home.root} was made with --keyring {found.kind}, and its keys are there",
            f"start it with --keyring {found.kind}; or move the keys first: "
            f"`tollgate keyring migrate --from {found.kind} --to {kind}`",
        )
