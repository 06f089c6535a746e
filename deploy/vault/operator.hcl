# What the operator's token needs for `tollgate vault init`, `deliver`, `wrap-key` and `rotate`; write it once, by
# hand: vault policy write tollgate-operator operator.hcl. It opens nothing that is encrypted, and gets
# no secret-id but a wrapped one. Whoever may write policies can of course write one that does:
# use it for set-up and upgrades, and a delivery's own token at each start. Audit devices want more
# (sys/audit, with sudo): enable them by hand, or give --audit-file with a token that may.
# The engine, its keys, and new keys that it wraps.
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/mounts/transit" {
  capabilities = ["create", "update"]
}
path "transit/config/keys" {
  capabilities = ["read", "create", "update"]
}
path "transit/keys/upstream-keys" {
  capabilities = ["create", "read", "update"]
}
path "transit/keys/upstream-keys/config" {
  capabilities = ["update"]
}
path "transit/keys/upstream-keys/rotate" {
  capabilities = ["update"]
}
path "transit/keys/subject-keys" {
  capabilities = ["create", "read", "update"]
}
path "transit/keys/subject-keys/config" {
  capabilities = ["update"]
}
path "transit/keys/subject-keys/rotate" {
  capabilities = ["update"]
}
path "transit/keys/pepper" {
  capabilities = ["create", "read", "update"]
}
path "transit/keys/pepper/config" {
  capabilities = ["update"]
}
path "transit/keys/reservation" {
  capabilities = ["create", "read", "update"]
}
path "transit/keys/reservation/config" {
  capabilities = ["update"]
}
path "transit/keys/oidc-client" {
  capabilities = ["create", "read", "update"]
}
path "transit/keys/oidc-client/config" {
  capabilities = ["update"]
}
path "transit/keys/tlog" {
  capabilities = ["create", "read", "update"]
}
path "transit/keys/tlog/config" {
  capabilities = ["update"]
}
path "transit/keys/tlog/rotate" {
  capabilities = ["update"]
}
path "transit/datakey/wrapped/pepper" {
  capabilities = ["update"]
}
path "transit/encrypt/pepper" {
  capabilities = ["update"]
}
path "transit/datakey/wrapped/reservation" {
  capabilities = ["update"]
}
path "transit/encrypt/reservation" {
  capabilities = ["update"]
}
# Policies and roles, by name: none of anybody else in the same Vault.
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/auth/approle" {
  capabilities = ["create", "update", "sudo"]
}
path "sys/policy" {
  capabilities = ["read"]
}
path "auth/approle/role" {
  capabilities = ["list"]
}
path "sys/policy/tollgate-router" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-router" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-router" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-router/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-router/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-router-admin" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-router-admin" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-router-admin" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-router-admin/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-router-admin/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-authz" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-authz" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-authz" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-authz/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-authz/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-authz-admin" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-authz-admin" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-authz-admin" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-authz-admin/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-authz-admin/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-budget" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-budget" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-budget" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-budget/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-budget/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-audit" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-audit" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-audit" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-audit/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-audit/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-edge-api" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-edge-api" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-edge-api" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-edge-api/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-edge-api/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-edge-portal" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-edge-portal" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-edge-portal" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-edge-portal/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-edge-portal/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
path "sys/policy/tollgate-edge-console" {
  capabilities = ["create", "read", "update"]
}
path "sys/policy/tollgate-deliver-edge-console" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-edge-console" {
  capabilities = ["create", "read", "update"]
}
path "auth/approle/role/tollgate-edge-console/role-id" {
  capabilities = ["read"]
}
path "auth/approle/role/tollgate-edge-console/secret-id" {
  capabilities     = ["update"]
  min_wrapping_ttl = "15s"
  max_wrapping_ttl = "300s"
}
