#!/bin/sh
# Run once by the postgres image on an empty volume: a database and a login role for each service.
# Each role owns its database and may connect to no other one; but the log's is owned by
# audit_owner, which only migrates it, so that audit itself can change no entry.
set -eu
for name in authz budget router audit; do
  owner=$name
  [ "$name" = audit ] && owner=audit_owner
  psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set=name="$name" --set=owner="$owner" --set=audit="$([ "$name" = audit ] && echo 1 || echo 0)" \
    --set=password="$(cat "/run/secrets/$name-postgres-password")" \
    --set=owner_password="$(cat /run/secrets/audit-owner-postgres-password)" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
\if :audit
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
\endif
CREATE DATABASE :"name" OWNER :"owner";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO :"name";
SQL
done
