"""A connection to Vault as an operator, and what a person is told when Vault refuses.

Promises: the operator's token is in this process's memory alone: never printed, never stored, and
sent to nobody but the address that was named. Each request ends within _EXCHANGE_S, and an answer
that is not of Vault's form is one sentence.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import hvac
from hvac import exceptions

from tollgate_cli import state_file
from tollgate_cli.deadline import within
from tollgate_cli.fault import Fault
from tollgate_kit.secret import Secret

# The whole of it: the timeout of requests is only of each read.
_EXCHANGE_S = 30.0
_TOKEN_REMEDY = "give --token-file FILE, or set VAULT_TOKEN"  # noqa: S105 (no secret)


@dataclass(frozen=True)
class Place:
    """Where a Vault is, whom to believe that it is it, and who asks; None: as Vault's variables."""

    address: str | None = None
    ca_file: Path | None = None
    token_file: Path | None = None
    # In the place of a file or a variable.
    token: Secret | None = None


@contextlib.contextmanager
def connected(place: Place) -> Iterator[Any]:
    """A client of hvac. Raises Fault, for what happens in its block, too."""
    address = place.address or os.environ.get("VAULT_ADDR", "")
    if not address.startswith("https://"):
        raise Fault(
            f"{address!r} is no address of a Vault" if address else "no Vault is named",
            "give --address https://HOST:8200, or set VAULT_ADDR",
        )
    ca_file = place.ca_file or os.environ.get("VAULT_CACERT")
    if ca_file and not Path(ca_file).is_file():
        raise Fault(f"there is no file {ca_file}", "give --ca-file FILE, or set VAULT_CACERT")
    client = hvac.Client(
        url=address,
        token=(place.token or operator_token(place.token_file)).reveal(),
        verify=str(ca_file) if ca_file else True,
        timeout=_EXCHANGE_S,
    )
    # What the environment says of proxies and of passwords by host is not meant for Vault.
    client.session.trust_env = False
    client.session.hooks["response"] = [_stay, _is_vaults]
    client.session.send = _bounded(client.session.send, address)
    try:
        yield client
    except exceptions.VaultError as error:
        raise _fault(error, address) from None
    except OSError as error:
        if not type(error).__module__.startswith("requests"):
            raise
        raise Fault(
            f"Vault at {address} does not answer: {_reason(error)}",
            "is it running, and is --ca-file the authority that signed its certificate?",
        ) from None
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # What is done here with answers is to look for what Vault has in them.
        raise _no_vault(address) from error
    finally:
        client.adapter.close()


def _stay(response: Any, **_arguments: Any) -> None:
    """Whoever is redirected would take the token along, to a place that nobody named."""
    if response.is_redirect:
        # Nobody else will, and its connection is in no pool.
        response.close()
        raise Fault(
            f"Vault sends this request on to {response.headers['location']}",
            "name the active one with --address",
        )


def _is_vaults(response: Any, **_arguments: Any) -> None:
    """Check that an answer has the form of Vault's. Raises Fault for another server."""
    if response.status_code == HTTPStatus.NO_CONTENT:
        return
    try:
        document = response.json()
    except (ValueError, RecursionError):
        document = None
    if response.ok:
        # Every answer that Vault gives to a request has an id; what there is to know is an object.
        is_vaults = isinstance(document, dict) and "request_id" in document
    else:
        # What stands before Vault may refuse in words of its own; what looks like Vault's is read.
        errors = document.get("errors", []) if isinstance(document, dict) else document
        are_texts = isinstance(errors, list) and all(isinstance(one, str) for one in errors)
        is_vaults = document is None or are_texts
    if not is_vaults:
        raise _no_vault(response.url.partition("/v1/")[0])


def _no_vault(address: str) -> Fault:
    return Fault(
        f"what answers at {address} is no Vault",
        "name Vault itself with --address, not what stands before it or beside it",
    )


def _bounded(send: Callable[..., Any], address: str) -> Callable[..., Any]:
    def sent(*arguments: Any, **named: Any) -> Any:
        try:
            return within(_EXCHANGE_S, partial(send, *arguments, **named))
        except TimeoutError:
            raise Fault(
                f"Vault at {address} did not finish an answer within {_EXCHANGE_S:.0f} s",
                "look at Vault and at what stands before it, then run this again",
            ) from None

    return sent


def operator_token(file: Path | None) -> Secret:
    """The token of a file, or of Vault's variable where none is named. Raises Fault."""
    if file is None:
        found = os.environ.get("VAULT_TOKEN", "").strip()
        if not found:
            raise Fault("no token to ask Vault with", _TOKEN_REMEDY)
        return Secret(found)
    try:
        mode = file.stat().st_mode
        found = state_file.read_text(file, _TOKEN_REMEDY).strip()
    except FileNotFoundError:
        raise Fault(f"there is no file {file}", _TOKEN_REMEDY) from None
    if mode & 0o077:
        raise Fault(f"{file} can be read by others", f"chmod 0400 {file}")
    if not found.isascii() or not found.isprintable() or " " in found or not found:
        raise Fault(f"{file} holds no token", _TOKEN_REMEDY)
    return Secret(found)


def _reason(error: OSError) -> str:
    """What failed, in the word of what failed: the whole text is a nest of objects."""
    inner: BaseException = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    return str(inner).strip() or type(error).__name__


def _fault(error: exceptions.VaultError, address: str) -> Fault:
    where = f"{str(error.method).upper()} {str(error.url).removeprefix(address)}"
    match error:
        case exceptions.Forbidden():
            return Fault(
                f"Vault refuses this token: {where}",
                "is it the right token, not expired, and may it do that?",
            )
        case exceptions.VaultDown():
            return Fault(
                f"Vault at {address} is sealed",
                "unseal it: vault operator unseal; a new one first: vault operator init",
            )
        case exceptions.VaultNotInitialized():
            return Fault(f"Vault at {address} is new", "initialise it: vault operator init")
        case _:
            said = "; ".join(error.errors or ()) or str(error.args[0])
            return Fault(f"Vault cannot do {where}: {said}")
