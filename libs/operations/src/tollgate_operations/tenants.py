"""Makes tenants and groups, each with its account.

Promises: the same words again finish what was interrupted and change nothing else. Until its
account is open, every call of the new tenant or group is refused.
"""

from typing import NamedTuple

from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate_operations.accounts import open_account
from tollgate_operations.request_ids import derived_request_id
from tollgate_operations.services import Services


class NewTenant(NamedTuple):
    """A tenant and its account, as they are now.

    `replayed`: it existed; its account may then have another limit than was asked for.
    """

    tenant: authz_pb2.Tenant
    account: budget_pb2.Account
    replayed: bool


class NewGroup(NamedTuple):
    """A group and its account, as they are now; `replayed` as in NewTenant."""

    group: authz_pb2.Group
    account: budget_pb2.Account
    replayed: bool


async def create_tenant(services: Services, name: str, limit: int) -> NewTenant:
    """Makes a tenant of that name; `limit` in nano-USD a month."""
    request_id = derived_request_id("tenant", name)
    request = authz_pb2.CreateTenantRequest(request_id=request_id, name=name)
    answer = await services.call(services.authz.CreateTenant, request)
    account_id = f"tenant:{answer.tenant.tenant_id}"
    account = await open_account(services, account_id, limit, request_id)
    return NewTenant(answer.tenant, account, answer.replayed)


async def create_group(
    services: Services, tenant_id: str, name: str, limit: int | None
) -> NewGroup:
    """Makes a group of a tenant; `limit` in nano-USD a month, None for none of its own."""
    request_id = derived_request_id("group", tenant_id, name)
    request = authz_pb2.CreateGroupRequest(request_id=request_id, tenant_id=tenant_id, name=name)
    answer = await services.call(services.authz.CreateGroup, request)
    account_id = f"group:{answer.group.group_id}"
    account = await open_account(services, account_id, limit, request_id)
    return NewGroup(answer.group, account, answer.replayed)
