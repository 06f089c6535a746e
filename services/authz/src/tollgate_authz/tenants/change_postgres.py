"""One change, inside the transaction that store_postgres opened for it.

Owns the writing statements. Locks are taken in one order, request (tollgate_kit.changes), tenant or
key, revision head, so changes never wait for one another in a circle.
"""

from typing import Any

import psycopg

from tollgate_authz.tenants.directory import (
    AddGroup,
    AddKey,
    AddTenant,
    ChangeDenied,
    Effect,
    Group,
    Key,
    KeyMac,
    KeyState,
    Missing,
    RevokedForGood,
    SetKeyState,
    SetTenantEnabled,
    Taken,
    Tenant,
)

Connection = psycopg.AsyncConnection[dict[str, Any]]


async def write(connection: Connection, effect: Effect) -> ChangeDenied | None:
    match effect:
        case AddTenant(tenant):
            return await _add_tenant(connection, tenant)
        case AddGroup(group):
            return await _add_group(connection, group)
        case AddKey(key, key_mac):
            return await _add_key(connection, key, key_mac)
        case SetTenantEnabled(tenant_id=tenant_id, enabled=enabled):
            done = await connection.execute(
                "UPDATE tenant SET enabled = %(enabled)s WHERE tenant_id = %(tenant_id)s",
                {"enabled": enabled, "tenant_id": tenant_id},
            )
            return None if done.rowcount else Missing(kind="tenant", identifier=tenant_id)
        case SetKeyState(key_id=key_id, state=state):
            return await _set_key_state(connection, key_id, state)


async def _add_tenant(connection: Connection, tenant: Tenant) -> ChangeDenied | None:
    done = await connection.execute(
        """INSERT INTO tenant (tenant_id, name, enabled, create_unix_ms)
           VALUES (%(tenant_id)s, %(name)s, %(enabled)s, %(create_unix_ms)s)
           ON CONFLICT (name) DO NOTHING""",
        {
            "tenant_id": tenant.tenant_id,
            "name": tenant.name,
            "enabled": tenant.enabled,
            "create_unix_ms": tenant.create_unix_ms,
        },
    )
    return None if done.rowcount else Taken(kind="tenant")


async def _add_group(connection: Connection, group: Group) -> ChangeDenied | None:
    if not await _exists(connection, "tenant", group.tenant_id):
        return Missing(kind="tenant", identifier=group.tenant_id)
    done = await connection.execute(
        """INSERT INTO tenant_group (group_id, tenant_id, name, create_unix_ms)
           VALUES (%(group_id)s, %(tenant_id)s, %(name)s, %(create_unix_ms)s)
           ON CONFLICT (tenant_id, name) DO NOTHING""",
        {
            "group_id": group.group_id,
            "tenant_id": group.tenant_id,
            "name": group.name,
            "create_unix_ms": group.create_unix_ms,
        },
    )
    return None if done.rowcount else Taken(kind="group")


async def _add_key(connection: Connection, key: Key, key_mac: KeyMac) -> ChangeDenied | None:
    if not await _exists(connection, "tenant", key.tenant_id):
        return Missing(kind="tenant", identifier=key.tenant_id)
    if key.group_id is not None and not await _exists(
        connection, "group", key.tenant_id, key.group_id
    ):
        return Missing(kind="group", identifier=key.group_id)
    await connection.execute(
        """INSERT INTO virtual_key
             (key_id, public_id, tenant_id, group_id, name, environment, mac, pepper_version,
              allowed_models, ip_allowlist, requests_per_minute, tokens_per_minute, state,
              expire_unix_ms, create_unix_ms)
           VALUES
             (%(key_id)s, %(public_id)s, %(tenant_id)s, %(group_id)s, %(name)s, %(environment)s,
              %(mac)s, %(pepper_version)s, %(allowed_models)s, %(ip_allowlist)s,
              %(requests_per_minute)s, %(tokens_per_minute)s,
              %(state)s, %(expire_unix_ms)s, %(create_unix_ms)s)""",
        {
            "key_id": key.key_id,
            "public_id": key.public_id,
            "tenant_id": key.tenant_id,
            "group_id": key.group_id,
            "name": key.name,
            "environment": key.environment,
            "mac": key_mac.mac,
            "pepper_version": key_mac.pepper_version,
            "allowed_models": list(key.allowed_models),
            "ip_allowlist": list(key.ip_allowlist),
            "requests_per_minute": key.requests_per_minute,
            "tokens_per_minute": key.tokens_per_minute,
            "state": key.state.value,
            "expire_unix_ms": key.expire_unix_ms,
            "create_unix_ms": key.create_unix_ms,
        },
    )
    return None


async def _set_key_state(
    connection: Connection, key_id: str, state: KeyState
) -> ChangeDenied | None:
    # Locked: a revocation that is being made must not be overwritten once it is.
    found = await connection.execute(
        "SELECT state FROM virtual_key WHERE key_id = %(key_id)s FOR NO KEY UPDATE",
        {"key_id": key_id},
    )
    row = await found.fetchone()
    if row is None:
        return Missing(kind="key", identifier=key_id)
    if row["state"] == KeyState.REVOKED.value and state is not KeyState.REVOKED:
        return RevokedForGood()
    await connection.execute(
        "UPDATE virtual_key SET state = %(state)s WHERE key_id = %(key_id)s",
        {"state": state.value, "key_id": key_id},
    )
    return None


_EXISTS = {
    "tenant": "SELECT 1 FROM tenant WHERE tenant_id = %(tenant_id)s",
    "group": """SELECT 1 FROM tenant_group
                 WHERE tenant_id = %(tenant_id)s AND group_id = %(group_id)s""",
}


async def _exists(
    connection: Connection, kind: str, tenant_id: str, group_id: str | None = None
) -> bool:
    """Rows of these tables are never deleted: what exists now exists at the commit."""
    found = await connection.execute(
        _EXISTS[kind].encode(), {"tenant_id": tenant_id, "group_id": group_id}
    )
    return await found.fetchone() is not None
