#!/bin/sh
# Run once by the postgres image on an empty volume: a database and a login role for each service.
# Each role owns its database and may connect to no other one; where another role owns it (the log's),
# that role only migrates it, so that the service itself can change nothing of its tables.
set -eu
# Database and login role : the role that owns it. Generated from deploy/topology.toml by `make topology`.
# topology: databases
databases="authz:authz budget:budget router:router audit:audit_owner"
# topology: end
for pair in $databases; do
  name=${pair%%:*}
  owner=${pair#*:}
  psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set=name="$name" --set=owner="$owner" --set=apart="$([ "$owner" = "$name" ] && echo 0 || echo 1)" \
    --set=password="$(cat "/run/secrets/$name-postgres-password")" \
    --set=owner_password="$(cat "/run/secrets/$(echo "$owner" | tr _ -)-postgres-password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
\if :apart
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
\endif
CREATE DATABASE :"name" OWNER :"owner";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO :"name";
SQL
done
