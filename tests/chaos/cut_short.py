"""`tollgate` commands, one after another, each ended as `kill -9` does right after its N-th step.

A step is what others can see: a file replaced or removed, a signal, a statement or commit at
PostgreSQL, a change of Redis's users or of a key at Vault, an RPC, rows that were renewed. A command
of fewer steps ends by itself.

Each command is a process of its own, forked from one that has imported everything: that takes
longer than most commands.
"""

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn

import psycopg
import redis
from hvac.api.secrets_engines import Transit

from tollgate_cli import main
from tollgate_cli.operator_client import Operator
from tollgate_cli.rotation import databases, keyring_unlock, log_key, mac_keys, rates
from tollgate_cli.rotation.encryption_keys import EncryptionKey

TREE = Path(__file__).parents[2]
TIMEOUT_S = 90
_POLL_S = 0.01
_STEPS = (
    (os, "replace"),
    (os, "unlink"),
    (os, "kill"),
    (psycopg.Connection, "execute"),
    (psycopg.Connection, "commit"),
    (redis.Redis, "acl_setuser"),
    (EncryptionKey, "renew"),
    (Operator, "call"),
    (Transit, "rotate_key"),
    (Transit, "update_key_configuration"),
)
# What the commands import only when they are called.
_IMPORTED = (databases, keyring_unlock, log_key, mac_keys, rates)


class Commands:
    """Runs commands; made by `commands()`."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server

    def run(
        self, *arguments: str, environment: Mapping[str, str], stdin: str = "", cut_after: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        """One to its end, which is by SIGKILL after so many steps, if that is not 0."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(
            json.dumps([cut_after, arguments, dict(environment), stdin]),
            file=self._server.stdin,
            flush=True,
        )
        return subprocess.CompletedProcess(arguments, *json.loads(self._server.stdout.readline()))


@contextlib.contextmanager
def commands() -> Iterator[Commands]:
    """What runs commands while the block does."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.cut_short"],
        cwd=TREE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        yield Commands(server)


def cut(after: int) -> None:
    """From here on, count steps, and end at that one."""
    left = after
    end = os.kill

    def done() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            end(os.getpid(), signal.SIGKILL)

    def counted(step: Callable[..., Any]) -> Callable[..., Any]:
        if asyncio.iscoroutinefunction(step):

            @functools.wraps(step)
            async def awaited(*given: Any, **named: Any) -> Any:
                found = await step(*given, **named)
                done()
                return found

            return awaited

        @functools.wraps(step)
        def called(*given: Any, **named: Any) -> Any:
            found = step(*given, **named)
            done()
            return found

        return called

    for owner, name in _STEPS:
        setattr(owner, name, counted(getattr(owner, name)))


def _serve() -> None:
    for line in sys.stdin:
        after, arguments, environment, given = json.loads(line)
        with contextlib.ExitStack() as opened:
            streams = [opened.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3)]
            streams[0].write(given)
            streams[0].seek(0)
            child = os.fork()
            if child == 0:
                _command(streams, after, arguments, environment)
            code = _ended(child)
            for stream in streams:
                stream.seek(0)
            print(json.dumps([code, *(stream.read() for stream in streams[1:])]), flush=True)


def _command(
    streams: list[IO[str]], after: int, arguments: list[str], environment: dict[str, str]
) -> NoReturn:
    """The forked process's whole life."""
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
    # The one before has read ahead of it.
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tollgate", *arguments]
    if after:
        cut(after)
    code = 1
    try:
        main.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - nothing of the server's may run in this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(child: int) -> int:
    """Its exit code, -N for signal N."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            raise TimeoutError(f"a command did not end within {TIMEOUT_S} s")
        time.sleep(_POLL_S)


if __name__ == "__main__":
    _serve()
