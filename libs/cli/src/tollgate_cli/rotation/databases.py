"""New passwords for the roles of PostgreSQL, one role after the other.

No call fails: connections that stand go on, and new ones are opened with what the file says then;
in the moment between the role's change and the file's, a pool tries again.
"""

import secrets

import psycopg
from psycopg import sql

from tollgate_cli.fault import Fault
from tollgate_cli.private_file import before, secret, write_private
from tollgate_cli.rotation.running import Running
from tollgate_cli.suite.engines import postgres


def rotate(running: Running) -> list[str]:
    """Give every role a new password; the names of the roles. Raises Fault, OperationalError."""
    home, port = running.home, running.port("postgres")
    # What a run before was cut short in is put right.
    if not running.postgres().ready():
        raise Fault("PostgreSQL does not answer", "`tollgate status` shows how it is")
    done = []
    with psycopg.connect(running.postgres().dsn(), autocommit=True) as connection:
        for name in running.topology.database_owners:
            for role in running.topology.roles_of(name):
                password = secrets.token_urlsafe(32)
                # First the file that a start of the suite goes by: whatever interrupts this, the
                # next start, or the same command once more, gives the role what stands there.
                write_private(home.password(role), password)
                _alter(connection, role, password)
                told = postgres.dsn(port, user=role, password=password, database=name)
                write_private(home.dsn(role), told)
                done.append(role)
    _superuser(running)
    return [*done, postgres.SUPERUSER]


def _superuser(running: Running) -> None:
    """The password that only this command and the suite's start know."""
    path = running.superuser_password
    former = before(path)
    write_private(former, secret(path))
    password = secrets.token_urlsafe(32)
    with psycopg.connect(running.postgres().dsn()) as connection:
        _alter(connection, postgres.SUPERUSER, password)
        # Before the commit: a file that says the new one too early has a copy of the old beside it.
        write_private(path, password)
    former.unlink()


def _alter(connection: psycopg.Connection, role: str, password: str) -> None:
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
    connection.execute(statement.format(sql.Identifier(role), sql.Literal(password)))
