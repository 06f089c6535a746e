"""kill -9 of a process that commits reserves as fast as it can: the books stay whole."""

import asyncio
import os
import signal
import subprocess
import sys

import psycopg

from tests.contract.ledger_on_postgres import NOW, reserve, writing

CHILD = """
import asyncio, sys
from functools import partial
from tollgate_budget.ledger.ledger import Reserve, Reserved, Settle
from tollgate_budget.ledger.postgres_writer import PostgresWriter, connect
from tollgate_kit.clock import SystemClock
from tollgate_kit.ids import Ids
from tollgate_kit.secret import Secret

async def main():
    writer = PostgresWriter(partial(connect, Secret(sys.argv[1])))
    ids = Ids(SystemClock())
    while True:
        steps = [
            Reserve(ids.uuid7(), ("key:a", "tenant:c"), 1, 60_000, "t", "tr", "m") for _ in range(9)
        ]
        outcomes = await writer.apply(steps, now_ms=int(sys.argv[2]))
        granted = [s.id for s, o in zip(steps, outcomes) if isinstance(o, Reserved)]
        print("\\n".join(f"granted {name}" for name in granted), flush=True)
        ended = granted[:5]
        await writer.apply([Settle(name, 1) for name in ended], now_ms=int(sys.argv[2]))
        print("\\n".join(f"posted {name}" for name in ended), flush=True)

asyncio.run(main())
"""


async def test_promise_04_kill_nine_at_any_point_keeps_the_books(dsn, tmp_path):
    """What was acknowledged is there after kill -9, five times over; the sums follow from it."""
    async with writing(dsn) as writer:
        await writer.apply([reserve(1)], now_ms=NOW)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "UPDATE account_window SET limit_nano_usd = 1000000, ceiling_nano_usd = 1000000"
        )
    for turn in range(5):
        out = tmp_path / f"out{turn}"
        with out.open("w") as stdout:
            child = subprocess.Popen([sys.executable, "-c", CHILD, dsn, str(NOW)], stdout=stdout)
            while out.stat().st_size < 4000:
                assert child.poll() is None
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.003 * turn)
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        lines = [line.split() for line in out.read_text().splitlines() if len(line) > 42]
        granted = {name for what, name in lines if what == "granted"}
        posted = {name for what, name in lines if what == "posted"}
        with psycopg.connect(dsn) as connection:
            states = dict(connection.execute("SELECT id::text, state FROM transfer").fetchall())
        assert granted <= set(states)
        assert {2} == {states[name] for name in posted}
