"""`tollgate tenant` and `tollgate group`."""

import shlex
from typing import Annotated, Any

import typer

from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate_cli import hint
from tollgate_cli.commands import directory, present, session
from tollgate_cli.commands.session import AsJson, ConfigFile, MonthlyUsd
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator
from tollgate_operations import accounts
from tollgate_operations import tenants as workflow
from tollgate_operations.request_ids import new_request_id

tenants = typer.Typer(help="Customers: owners of keys and of a wallet.", no_args_is_help=True)
groups = typer.Typer(help="Projects or environments of a tenant.", no_args_is_help=True)

_CAP_OF_NOTHING = (
    "its cap is $0, so every call is refused; "
    "set another: tollgate budget set {account} --monthly-usd 5"
)
Name = Annotated[str, typer.Argument(help="Name or id.")]
Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's name or id.")]


def check_limit(called: str, account: budget_pb2.Account, limit: int | None) -> None:
    """Raises Fault if an account that was there has another limit than a command asked for.

    `called`: kind and name, as a person knows it; two groups may have one name.
    """
    if limit is None or accounts.limit_of(account) == limit:
        return
    kind, _, name = called.partition(":")
    typed = shlex.quote(called) if kind == "tenant" else account.account_id
    raise Fault(
        f"{kind} {name!r} exists, {present.cap(account)}, which was not changed",
        f"to change it: tollgate budget set {typed} --monthly-usd AMOUNT",
    )


@tenants.command("create")
def tenant_create(
    name: str, monthly_usd: MonthlyUsd = None, as_json: AsJson = False, config: ConfigFile = None
) -> None:
    """Make a tenant, with the cap of its wallet."""
    limit = session.nano_usd(monthly_usd)
    made = session.run(config, lambda operator: workflow.create_tenant(operator, name, limit or 0))
    called = f"tenant:{name}"
    check_limit(called, made.account, limit)
    if as_json:
        present.print_json(present.with_account(made.tenant, made.account))
        return
    print(f"tenant {name} {'exists' if made.replayed else 'created'}: {made.tenant.tenant_id}")
    if made.account.limit_nano_usd:
        print(f"monthly cap: {present.limit(made.account)}")
    else:
        print(hint.typed(_CAP_OF_NOTHING.format(account=shlex.quote(called))))


@tenants.command("list")
def tenant_list(as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show all tenants."""

    async def work(operator: Operator) -> Any:
        return await operator.call(operator.authz.ListTenants, authz_pb2.ListTenantsRequest())

    found = [present.plain(item) for item in session.run(config, work).tenants]
    present.print_list(found, _row, as_json=as_json, empty="no tenants")


def _row(item: dict[str, Any]) -> dict[str, object]:
    return {
        "name": item["name"],
        "state": "enabled" if item["enabled"] else "suspended",
        "id": item["tenant_id"],
        "created": item["create_time"],
    }


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
    """Make a group; with a cap, its keys together spend no more than that."""
    limit = session.nano_usd(monthly_usd)

    async def work(operator: Operator) -> workflow.NewGroup:
        owner = await directory.tenant(operator, tenant)
        return await workflow.create_group(operator, owner.tenant_id, name, limit)

    made = session.run(config, work)
    check_limit(f"group:{name}", made.account, limit)
    if as_json:
        present.print_json(present.with_account(made.group, made.account))
        return
    print(f"group {name} {'exists' if made.replayed else 'created'}: {made.group.group_id}")
    print(f"monthly cap: {present.limit(made.account)}")


@groups.command("list")
def group_list(tenant: Tenant, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Show the groups of a tenant."""

    async def work(operator: Operator) -> Any:
        owner = await directory.tenant(operator, tenant)
        request = authz_pb2.ListGroupsRequest(tenant_id=owner.tenant_id)
        listed = (await operator.call(operator.authz.ListGroups, request)).groups
        ids = [f"group:{item.group_id}" for item in listed]
        return listed, await accounts.accounts(operator, ids)

    listed, opened = session.run(config, work)
    found = [(item, opened.get(f"group:{item.group_id}")) for item in listed]
    if as_json:
        present.print_json([present.with_account(item, account) for item, account in found])
        return
    rows = [
        {
            "name": item.name,
            "cap": present.limit(account),
            "spent": present.spent(account),
            "id": item.group_id,
            "created": present.instant(item.create_time),
        }
        for item, account in found
    ]
    present.print_table(rows, empty="no groups")
