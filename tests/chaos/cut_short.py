"""Runs one `tollgate` command, and ends it as `kill -9` does right after its N-th step.

python -m tests.chaos.cut_short N COMMAND…

A step is what others can see: a file replaced or removed, a signal, a statement or commit at
PostgreSQL, a change of Redis's users or of a key at Vault, an RPC, rows that were renewed. A command
of fewer steps ends by itself.
"""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import redis
from hvac.api.secrets_engines import Transit

from tollgate_cli.operator_client import Operator
from tollgate_cli.rotation.encryption_keys import EncryptionKey

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


if __name__ == "__main__":
    cut(int(sys.argv[1]))
    sys.argv[:2] = ["tollgate"]
    from tollgate_cli.main import main

    sys.exit(main())
