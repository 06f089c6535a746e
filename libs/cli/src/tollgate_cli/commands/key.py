"""`tollgate key`: virtual keys, whose text is shown once."""

import datetime as dt
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from tollgate.authz.v1 import authz_pb2
from tollgate_cli.commands import callable_models, directory, present, session
from tollgate_cli.commands.session import AsJson, ConfigFile, MonthlyUsd
from tollgate_cli.commands.tenant import Tenant
from tollgate_cli.fault import Fault
from tollgate_cli.money import format_usd
from tollgate_cli.operator_client import Operator
from tollgate_kit.clock import SystemClock
from tollgate_operations import accounts
from tollgate_operations import keys as workflow
from tollgate_operations.request_ids import new_request_id

keys = typer.Typer(help="Virtual keys of tenants.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The key's name, id or public prefix.")]
_SPAN = re.compile(r"([0-9]{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


@dataclass(frozen=True)
class Wanted:
    """A key to be made."""

    tenant: str
    name: str
    group: str | None = None
    environment: str = "live"
    models: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    limit_nano_usd: int | None = None
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    expire: Timestamp | None = None


async def issue(
    operator: Operator,
    wanted: Wanted,
    request_id: str,
    show: Callable[[workflow.IssuedKey], None],
) -> Any:
    """Makes a key, shows it, opens its account and returns that. Raises Fault."""
    owner = await directory.tenant(operator, wanted.tenant)
    group = await directory.group(operator, owner.tenant_id, wanted.group) if wanted.group else None
    request = authz_pb2.IssueKeyRequest(
        request_id=request_id,
        tenant_id=owner.tenant_id,
        group_id=group.group_id if group else "",
        name=wanted.name,
        environment=wanted.environment,
        allowed_models=wanted.models,
        ip_allowlist=wanted.addresses,
        requests_per_minute=wanted.requests_per_minute,
        tokens_per_minute=wanted.tokens_per_minute,
        expire_time=wanted.expire,
    )
    limit = wanted.limit_nano_usd
    try:
        return await workflow.issue_key(operator, request, limit, show=show)
    except workflow.TextLostError as error:
        raise Fault(
            "the key was made, but the answer with its text was lost",
            f"tollgate key revoke {error.key_id}, and make another",
        ) from error
    except workflow.AccountNotOpenedError as error:
        cap = (
            "--no-limit"
            if limit is None
            else f"--monthly-usd {format_usd(limit).removeprefix('$')}"
        )
        raise Fault(
            f"the key was made without its account, so it can spend nothing: {error.__cause__}",
            f"tollgate budget set key:{error.key_id} {cap}",
        ) from error


@keys.command("create")
def key_create(
    *,
    tenant: Tenant,
    name: Annotated[str, typer.Option("--name", help="A name for people.")],
    group: Annotated[str | None, typer.Option("--group", help="Name or id.")] = None,
    environment: Annotated[str, typer.Option("--env", help="live, test or dev.")] = "live",
    model: Annotated[list[str] | None, typer.Option("--model", help="Allowed; repeatable.")] = None,
    ip: Annotated[list[str] | None, typer.Option("--ip", help="CIDR; repeatable.")] = None,
    monthly_usd: MonthlyUsd = None,
    rpm: Annotated[int, typer.Option("--rpm", min=0, help="Requests a minute; 0: any.")] = 0,
    tpm: Annotated[int, typer.Option("--tpm", min=0, help="Tokens a minute; 0: any.")] = 0,
    expires: Annotated[
        str | None, typer.Option("--expires", help="12h, 30d, 8w or a date.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Allow a --model that cannot be called yet.")
    ] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make a key and print it, this once."""
    request_id = new_request_id()
    wanted = Wanted(
        tenant=tenant,
        name=name,
        group=group,
        environment=environment,
        models=tuple(model or ()),
        addresses=tuple(ip or ()),
        limit_nano_usd=session.nano_usd(monthly_usd),
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        expire=parse_expiry(expires, SystemClock().unix_ms()) if expires else None,
    )

    async def work(operator: Operator) -> Any:
        if wanted.models and not force:
            _check_models(wanted.models, await callable_models.models(operator))
        await _warn_of_same_name(operator, wanted)
        account = await issue(
            operator, wanted, request_id, lambda issued: _print_new(issued, as_json=as_json)
        )
        if not as_json:
            print(f"monthly cap: {present.limit(account)}")

    session.run(config, work)


async def _warn_of_same_name(operator: Operator, wanted: Wanted) -> None:
    """Commands that are given a name that two keys have will ask for the id."""
    listed = await directory.keys(operator, wanted.tenant)
    ids = ", ".join(key.key_id for _, key in listed if key.name == wanted.name)
    if ids:
        print(
            f"WARNING: another key of this tenant is called {wanted.name!r}: {ids}", file=sys.stderr
        )


def _check_models(wanted: tuple[str, ...], known: callable_models.Models) -> None:
    """Raises Fault for models that a key could not call, before there is a key."""
    wrong = [why for why in (known.why_not(model) for model in wanted) if why]
    if wrong:
        *others, (problem, remedy) = wrong
        lines = [f"{said}\n  {do}" for said, do in others]
        raise Fault(
            "\n".join([*lines, problem]),
            f"{remedy}\n  no key was made; --force makes one for a model that comes later",
        )


def parse_expiry(text: str, now_unix_ms: int) -> Timestamp:
    """The instant that "30d" or "2027-01-31" (its first second, UTC) means. Raises Fault."""
    span = _SPAN.fullmatch(text)
    if span:
        return Timestamp(seconds=now_unix_ms // 1000 + int(span[1]) * _HOURS[span[2]] * 3600)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Fault(f"{text!r} is no time", "write 12h, 30d, 8w or 2027-01-31") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    if moment.timestamp() * 1000 <= now_unix_ms:
        raise Fault(f"{text!r} is in the past")
    return Timestamp(seconds=int(moment.timestamp()))


@keys.command("list")
def key_list(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Only this one's.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Show keys; never their text."""

    async def work(operator: Operator) -> Any:
        listed = await directory.keys(operator, tenant)
        return listed, await _accounts(operator, [key for _, key in listed])

    found, opened = session.run(config, work)
    if as_json:
        present.print_json([present.with_account(key, _of(key, opened)) for _, key in found])
        return
    rows = []
    for owner, key in found:
        shown, account = present.plain(key), _of(key, opened)
        rows.append(
            {
                "tenant": owner.name,
                "name": shown["name"],
                "state": shown["state"],
                "key": f"{shown['public_prefix']}_…",
                "models": _any(shown["allowed_models"]),
                "cap": present.limit(account),
                "spent": present.spent(account),
                "id": shown["key_id"],
            }
        )
    present.print_table(rows, empty="no keys")


@keys.command("show")
def key_show(key: Key, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show one key; never its text."""

    async def work(operator: Operator) -> Any:
        found = await directory.key(operator, key)
        return found, await _accounts(operator, [found])

    found, opened = session.run(config, work)
    if as_json:
        present.print_json(present.with_account(found, _of(found, opened)))
        return
    shown, account = present.plain(found), _of(found, opened)
    shown["monthly_cap"] = present.limit(account)
    shown["spent_this_month"] = present.spent(account)
    shown["allowed_models"] = _any(shown["allowed_models"])
    shown["ip_allowlist"] = _any(shown["ip_allowlist"])
    shown["expire_time"] = shown["expire_time"] or "never"
    for rate in ("requests_per_minute", "tokens_per_minute"):
        shown[rate] = shown[rate] or "any"
    present.print_fields({name.replace("_", " "): value for name, value in shown.items()})


async def _accounts(operator: Operator, listed: list[Any]) -> dict[str, Any]:
    return await accounts.accounts(operator, [f"key:{key.key_id}" for key in listed])


def _of(key: Any, opened: dict[str, Any]) -> Any:
    return opened.get(f"key:{key.key_id}")


@keys.command("disable")
def key_disable(key: Key, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Refuse a key until it is enabled again."""
    _set_enabled(key, as_json=as_json, config=config, enabled=False)


@keys.command("enable")
def key_enable(key: Key, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Let a disabled key call again."""
    _set_enabled(key, as_json=as_json, config=config, enabled=True)


@keys.command("revoke")
def key_revoke(
    key: Key,
    reason: Annotated[str, typer.Option("--reason", help="Kept with the key.")] = "",
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Refuse a key everywhere and for good."""

    async def work(operator: Operator) -> Any:
        found = await directory.key(operator, key)
        request = authz_pb2.RevokeKeyRequest(
            request_id=new_request_id(), key_id=found.key_id, reason=reason
        )
        return found, await operator.call(operator.authz.RevokeKey, request)

    found, answer = session.run(config, work)
    _print_change(found, "revoked", answer.revision, as_json=as_json)


def _set_enabled(key: str, *, as_json: bool, config: ConfigFile, enabled: bool) -> None:
    async def work(operator: Operator) -> Any:
        found = await directory.key(operator, key)
        request = authz_pb2.SetKeyEnabledRequest(
            request_id=new_request_id(), key_id=found.key_id, enabled=enabled
        )
        return found, await operator.call(operator.authz.SetKeyEnabled, request)

    found, answer = session.run(config, work)
    _print_change(found, "enabled" if enabled else "disabled", answer.revision, as_json=as_json)


def _print_change(key: Any, state: str, revision: int, *, as_json: bool) -> None:
    if as_json:
        present.print_json({"key_id": key.key_id, "state": state, "revision": revision})
    else:
        print(f"key {key.name} ({key.public_prefix}_…) is {state}")


def _print_new(issued: workflow.IssuedKey, *, as_json: bool) -> None:
    """Flushed: whatever ends this program next, the key is out."""
    text = issued.secret.reveal()
    if as_json:
        present.print_json({**present.plain(issued.key), "secret": text})
    else:
        print(f"key {issued.key.name} created: {issued.key.key_id}")
        print(text)
        print("keep it now: it is stored nowhere and cannot be shown again")
    sys.stdout.flush()


def _any(values: list[str]) -> str:
    return ", ".join(values) if values else "any"
