"""What the image of postgres runs on an empty volume makes the topology's databases, each apart."""

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests import engines
from tollgate_cli.deployment import containers, topology_file

ROOT = Path(__file__).parents[2]
OWNERS = topology_file.packaged().database_owners
ROLES = topology_file.packaged().roles


def test_each_role_enters_its_own_database_and_no_other(tmp_path: Path) -> None:
    """A role may use the database of its process alone; what a service writes to may be another's."""
    for role in ROLES:
        (tmp_path / containers.password_file(role)).write_text(f"of-{role}")
    script = (ROOT / "deploy/postgres/create-databases.sh").read_text()
    assert "/run/secrets/" in script
    with engines.postgres_server() as server:
        admin = conninfo_to_dict(server.engine.dsn())
        environment = {
            **os.environ,
            "PATH": f"{server.engine._bin}:{os.environ['PATH']}",
            "POSTGRES_USER": admin["user"],
            "PGPASSWORD": admin["password"],
            "PGHOST": "127.0.0.1",
            "PGPORT": str(admin["port"]),
        }
        argv = ["/bin/sh", "-c", script.replace("/run/secrets", str(tmp_path))]
        subprocess.run(argv, env=environment, check=True, capture_output=True)
        with psycopg.connect(server.engine.dsn()) as connection:
            query = (
                "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname = ANY(%s)"
            )
            found = connection.execute(query, (list(OWNERS),)).fetchall()
            assert OWNERS == dict(found)
            supers = connection.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall()
            assert [(admin["user"],)] == supers
        for role in ROLES:
            for name in OWNERS:
                dsn = make_conninfo(
                    server.engine.dsn(), user=role, password=f"of-{role}", dbname=name
                )
                if role in {name, OWNERS[name]}:
                    psycopg.connect(dsn).close()
                else:
                    with pytest.raises(psycopg.OperationalError, match="permission denied"):
                        psycopg.connect(dsn)
