"""`tollgate tenant` and `tollgate group`."""

import shlex
from typing import Annotated, Any

import typer

from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate_cli import directory, hint, present, session
from tollgate_cli.fault import Fault
from tollgate_cli.money import format_usd
from tollgate_cli.operator_client import NotFound, Operator, derived_request_id, new_request_id
from tollgate_cli.session import AsJson, ConfigFile, MonthlyUsd

tenants = typer.Typer(help="Customers: owners of keys and of a wallet.", no_args_is_help=True)
groups = typer.Typer(help="Projects or environments of a tenant.", no_args_is_help=True)

_NO_LIMIT = (
    "no cap is set, so every call is refused; "
    "set one: tollgate budget set {account} --monthly-usd 5"
)
Name = Annotated[str, typer.Argument(help="Name or id.")]
Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's name or id.")]


async def create_tenant(operator: Operator, name: str, limit_nano_usd: int | None) -> Any:
    """Makes a tenant and opens its wallet; the same command again finishes what was interrupted."""
    request_id = derived_request_id("tenant", name)
    request = authz_pb2.CreateTenantRequest(request_id=request_id, name=name)
    answer = await operator.call(operator.authz.CreateTenant, request)
    if limit_nano_usd is not None:
        # The same id whatever the limit: a cap that was set by an earlier `create` is not changed
        # by a later one, only by `budget set`.
        set_id = derived_request_id(request_id, "limit")
        account = f"tenant:{answer.tenant.tenant_id}"
        await open_account(operator, account, limit_nano_usd, set_id, called=f"tenant:{name}")
    return answer


async def open_account(
    operator: Operator, account: str, limit_nano_usd: int, set_id: str, *, called: str
) -> None:
    """Gives an account its first limit; one that has a limit keeps it. Raises Fault.

    `called`: kind and name, as a person knows it.
    """
    read = budget_pb2.GetAccountRequest(account_id=account)
    try:
        found = (await operator.call(operator.budget_read.GetAccount, read)).account
    except NotFound:
        await set_limit(operator, account, limit_nano_usd, set_id)
        return
    if found.limit_nano_usd != limit_nano_usd:
        kind, _, name = called.partition(":")
        raise Fault(
            f"{kind} {name!r} exists, with a cap of {format_usd(found.limit_nano_usd)}, "
            "which was not changed",
            f"to change it: tollgate budget set {shlex.quote(called)} --monthly-usd AMOUNT",
        )


async def set_limit(operator: Operator, account: str, limit_nano_usd: int, request_id: str) -> Any:
    """Opens an account, or changes its limit."""
    request = budget_pb2.SetLimitRequest(
        request_id=request_id, account_id=account, monthly_limit_nano_usd=limit_nano_usd
    )
    return (await operator.call(operator.budget.SetLimit, request)).account


@tenants.command("create")
def tenant_create(
    name: str, monthly_usd: MonthlyUsd = None, as_json: AsJson = False, config: ConfigFile = None
) -> None:
    """Make a tenant, with the cap of its wallet."""
    limit = session.nano_usd(monthly_usd)
    answer = session.run(config, lambda operator: create_tenant(operator, name, limit))
    tenant = answer.tenant
    if as_json:
        present.print_json({**present.plain(tenant), "monthly_limit_nano_usd": limit})
        return
    print(f"tenant {tenant.name} {'exists' if answer.replayed else 'created'}: {tenant.tenant_id}")
    if limit is None and not answer.replayed:
        print(hint.typed(_NO_LIMIT.format(account=shlex.quote(f"tenant:{tenant.name}"))))
    elif limit is not None:
        print(f"monthly cap: {format_usd(limit)}")


@tenants.command("list")
def tenant_list(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show all tenants."""

    async def work(operator: Operator) -> Any:
        return await operator.call(operator.authz.ListTenants, authz_pb2.ListTenantsRequest())

    found = [present.plain(item) for item in session.run(config, work).tenants]
    if as_json:
        present.print_json(found)
        return
    rows = [
        {
            "name": item["name"],
            "state": "enabled" if item["enabled"] else "suspended",
            "id": item["tenant_id"],
            "created": item["create_time"],
        }
        for item in found
    ]
    present.print_table(rows, empty="no tenants")


@tenants.command("suspend")
def tenant_suspend(name: Name, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Refuse every call of a tenant until it is resumed."""
    _set_enabled(name, as_json=as_json, config=config, enabled=False)


@tenants.command("resume")
def tenant_resume(name: Name, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Let a suspended tenant call again."""
    _set_enabled(name, as_json=as_json, config=config, enabled=True)


def _set_enabled(name: str, *, as_json: bool, config: ConfigFile, enabled: bool) -> None:
    async def work(operator: Operator) -> Any:
        tenant = await directory.tenant(operator, name)
        request = authz_pb2.SetTenantEnabledRequest(
            request_id=new_request_id(), tenant_id=tenant.tenant_id, enabled=enabled
        )
        return tenant, await operator.call(operator.authz.SetTenantEnabled, request)

    tenant, answer = session.run(config, work)
    if as_json:
        present.print_json(
            {"tenant_id": tenant.tenant_id, "enabled": enabled, "revision": answer.revision}
        )
    else:
        print(f"tenant {tenant.name} is {'enabled' if enabled else 'suspended'}")


@groups.command("create")
def group_create(
    name: str,
    tenant: Tenant,
    monthly_usd: MonthlyUsd = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> None:
    """Make a group; with a cap it has a budget account of its own."""
    limit = session.nano_usd(monthly_usd)

    async def work(operator: Operator) -> Any:
        owner = await directory.tenant(operator, tenant)
        request_id = derived_request_id("group", owner.tenant_id, name)
        request = authz_pb2.CreateGroupRequest(
            request_id=request_id,
            tenant_id=owner.tenant_id,
            name=name,
            has_budget=limit is not None,
        )
        answer = await operator.call(operator.authz.CreateGroup, request)
        if limit is not None:
            set_id = derived_request_id(request_id, "limit")
            account = f"group:{answer.group.group_id}"
            await open_account(operator, account, limit, set_id, called=f"group:{name}")
        return answer

    answer = session.run(config, work)
    if as_json:
        present.print_json({**present.plain(answer.group), "monthly_limit_nano_usd": limit})
        return
    print(f"group {name} {'exists' if answer.replayed else 'created'}: {answer.group.group_id}")
    if limit is not None:
        print(f"monthly cap: {format_usd(limit)}")


@groups.command("list")
def group_list(tenant: Tenant, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the groups of a tenant."""

    async def work(operator: Operator) -> Any:
        owner = await directory.tenant(operator, tenant)
        request = authz_pb2.ListGroupsRequest(tenant_id=owner.tenant_id)
        return await operator.call(operator.authz.ListGroups, request)

    found = [present.plain(item) for item in session.run(config, work).groups]
    if as_json:
        present.print_json(found)
        return
    rows = [
        {
            "name": item["name"],
            "budget": "own" if item["has_budget"] else "tenant's",
            "id": item["group_id"],
            "created": item["create_time"],
        }
        for item in found
    ]
    present.print_table(rows, empty="no groups")
