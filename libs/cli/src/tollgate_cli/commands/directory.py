"""Finds tenants, groups, keys and providers by the names that people use, or by id."""

import re
from typing import Any

from tollgate.authz.v1 import authz_pb2
from tollgate.router.v1 import router_pb2
from tollgate_cli.commands.callable_models import nearest
from tollgate_cli.fault import Fault
from tollgate_cli.operator_client import Operator
from tollgate_kit import virtual_key

# What looks like a key, mistyped perhaps: what is behind its public part is never printed.
_SECRET = re.compile(r"(sk-[A-Za-z0-9]+-[A-Za-z0-9]+-[A-Za-z0-9]+)_\S*")


async def tenant(operator: Operator, name: str) -> Any:
    """The tenant of that name or id."""
    answer = await operator.call(operator.authz.ListTenants, authz_pb2.ListTenantsRequest())
    found = [item for item in answer.tenants if name in {item.tenant_id, item.name}]
    return _one(list(answer.tenants), found, "tenant", name, "`tollgate tenant list` shows all")


async def provider(operator: Operator, name: str) -> Any:
    """The provider of that name."""
    answer = await operator.call(operator.router.ListProviders, router_pb2.ListProvidersRequest())
    listed = list(answer.providers)
    found = [item for item in listed if item.name == name]
    return _one(listed, found, "provider", name, "`tollgate provider list` shows all")


async def group(operator: Operator, tenant_id: str, name: str) -> Any:
    """The group of that name or id."""
    request = authz_pb2.ListGroupsRequest(tenant_id=tenant_id)
    answer = await operator.call(operator.authz.ListGroups, request)
    found = [item for item in answer.groups if name in {item.group_id, item.name}]
    return _one(
        list(answer.groups),
        found,
        "group",
        name,
        f"`tollgate group list --tenant {tenant_id}` shows all",
    )


async def any_group(operator: Operator, name: str) -> Any:
    """The group of that id or name (which must then be the only one of all tenants)."""
    answer = await operator.call(operator.authz.ListTenants, authz_pb2.ListTenantsRequest())
    groups: list[Any] = []
    for owner in answer.tenants:
        request = authz_pb2.ListGroupsRequest(tenant_id=owner.tenant_id)
        groups += (await operator.call(operator.authz.ListGroups, request)).groups
    found = [item for item in groups if name in {item.group_id, item.name}]
    return _one(groups, found, "group", name, "`tollgate group list --tenant NAME` shows all")


async def keys(operator: Operator, tenant_name: str | None) -> list[tuple[Any, Any]]:
    """(tenant, key) of one tenant, or of all."""
    if tenant_name:
        tenants = [await tenant(operator, tenant_name)]
    else:
        answer = await operator.call(operator.authz.ListTenants, authz_pb2.ListTenantsRequest())
        tenants = list(answer.tenants)
    found = []
    for owner in tenants:
        request = authz_pb2.ListKeysRequest(tenant_id=owner.tenant_id)
        listed = await operator.call(operator.authz.ListKeys, request)
        found += [(owner, item) for item in listed.keys]
    return found


async def key(operator: Operator, name: str) -> Any:
    """The key of that id, public prefix or name (which must then be the only one)."""
    listed = [item for _, item in await keys(operator, None)]
    name = _without_secret(name)
    found = [item for item in listed if name in {item.key_id, item.name, item.public_prefix}]
    return _one(listed, found, "key", name, "`tollgate key list` shows all, with their ids")


async def account_id(operator: Operator, name: str) -> str:
    """The budget account of "tenant:<name or id>", "group:<name or id>", "key:<name or id>".

    Or a tenant.
    """
    kind, _, rest = name.partition(":")
    if kind not in ("tenant", "key", "group"):
        kind, rest = "tenant", name
    if kind == "tenant":
        return f"tenant:{(await tenant(operator, rest)).tenant_id}"
    if kind == "key":
        return f"key:{(await key(operator, rest)).key_id}"
    return f"group:{(await any_group(operator, rest)).group_id}"


def _without_secret(name: str) -> str:
    """A key that was given whole is shown, and looked for, by its public prefix."""
    whole = virtual_key.parse(name)
    if whole is not None:
        return virtual_key.public_prefix(whole.environment, whole.public_id)
    return _SECRET.sub(r"\1_…", name)


def _one(listed: list[Any], matches: list[Any], kind: str, name: str, remedy: str) -> Any:
    name = _without_secret(name)
    # An id is given to one only, whatever others are called.
    owner = [item for item in matches if getattr(item, f"{kind}_id", None) == name]
    matches = owner or matches
    if not matches:
        near = nearest(name, [item.name for item in listed])
        raise Fault(f"there is no {kind} {name!r}", near or remedy)
    if len(matches) > 1:
        raise Fault(f"{len(matches)} {kind}s are called {name!r}: give the id", remedy)
    return matches[0]
