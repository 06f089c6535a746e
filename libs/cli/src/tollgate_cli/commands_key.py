"""`tollgate key`: virtual keys, whose text is shown once."""

import datetime as dt
import re
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from tollgate.authz.v1 import authz_pb2
from tollgate_cli import callable_models, directory, present, session
from tollgate_cli.commands_tenant import Tenant, set_limit
from tollgate_cli.fault import Fault
from tollgate_cli.money import format_usd
from tollgate_cli.operator_client import Operator, derived_request_id, new_request_id
from tollgate_cli.session import AsJson, ConfigFile, MonthlyUsd
from tollgate_kit.clock import SystemClock

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
    limit_nano_usd: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    expire: Timestamp | None = None


async def create_key(operator: Operator, wanted: Wanted, request_id: str) -> Any:
    """Issues a key; `open_key_account` comes after, when its id is known."""
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
        monthly_limit_nano_usd=wanted.limit_nano_usd,
        requests_per_minute=wanted.requests_per_minute,
        tokens_per_minute=wanted.tokens_per_minute,
        expire_time=wanted.expire,
    )
    return await operator.call(operator.authz.IssueKey, request)


async def open_key_account(operator: Operator, key: Any, request_id: str) -> None:
    """A key with a limit spends nothing before budget knows the limit."""
    if key.monthly_limit_nano_usd:
        await set_limit(
            operator,
            f"key:{key.key_id}",
            key.monthly_limit_nano_usd,
            derived_request_id(request_id, "limit"),
        )


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
    limit_nano_usd = session.nano_usd(monthly_usd)
    if limit_nano_usd == 0:
        raise Fault(
            "a key with a cap of nothing cannot be made: it would have no cap of its own",
            "leave --monthly-usd out, or make the key and: tollgate key disable KEY",
        )
    wanted = Wanted(
        tenant=tenant,
        name=name,
        group=group,
        environment=environment,
        models=tuple(model or ()),
        addresses=tuple(ip or ()),
        limit_nano_usd=limit_nano_usd or 0,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        expire=parse_expiry(expires, SystemClock().unix_ms()) if expires else None,
    )

    async def work(operator: Operator) -> Any:
        if wanted.models and not force:
            _check_models(wanted.models, await callable_models.models(operator))
        await _warn_of_same_name(operator, wanted)
        answer = await create_key(operator, wanted, request_id)
        # Printed before the account is opened: should that fail, the key is not lost.
        if as_json:
            present.print_json({**present.plain(answer.key), "secret": answer.secret})
        else:
            _print_new(answer)
        try:
            await open_key_account(operator, answer.key, request_id)
        except Fault as fault:
            raise Fault(
                f"the key was made without its cap, so it can spend nothing: {fault.problem}",
                f"tollgate budget set key:{answer.key.key_id} --monthly-usd {monthly_usd}",
            ) from fault

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
    found = session.run(config, lambda operator: directory.keys(operator, tenant))
    if as_json:
        present.print_json([present.plain(key) for _, key in found])
        return
    rows = []
    for owner, key in found:
        shown = present.plain(key)
        rows.append(
            {
                "tenant": owner.name,
                "name": shown["name"],
                "state": shown["state"],
                "key": f"{shown['public_prefix']}_…",
                "models": _any(shown["allowed_models"]),
                "cap": _cap(shown["monthly_limit_nano_usd"]),
                "id": shown["key_id"],
            }
        )
    present.print_table(rows, empty="no keys")


@keys.command("show")
def key_show(key: Key, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show one key; never its text."""
    shown = present.plain(session.run(config, lambda operator: directory.key(operator, key)))
    if as_json:
        present.print_json(shown)
        return
    shown["monthly_limit"] = _cap(shown.pop("monthly_limit_nano_usd"))
    shown["allowed_models"] = _any(shown["allowed_models"])
    shown["ip_allowlist"] = _any(shown["ip_allowlist"])
    shown["expire_time"] = shown["expire_time"] or "never"
    for rate in ("requests_per_minute", "tokens_per_minute"):
        shown[rate] = shown[rate] or "any"
    present.print_fields({name.replace("_", " "): value for name, value in shown.items()})


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
    reason: Annotated[str, typer.Option("--reason", help="Recorded in the log.")] = "",
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


def _print_new(answer: Any) -> None:
    print(f"key {answer.key.name} created: {answer.key.key_id}")
    print(answer.secret)
    print("keep it now: it is stored nowhere and cannot be shown again")


def _any(values: list[str]) -> str:
    return ", ".join(values) if values else "any"


def _cap(limit_nano_usd: int) -> str:
    return format_usd(limit_nano_usd) if limit_nano_usd else "none of its own"
