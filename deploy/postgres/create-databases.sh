#!/bin/sh
# Run once by the postgres image on an empty volume: a database and a login role for each service.
# Each role owns its database and may connect to no other one.
set -eu
for name in authz budget router audit; do
  psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set=name="$name" --set=password="$(cat "/run/secrets/$name-postgres-password")" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
