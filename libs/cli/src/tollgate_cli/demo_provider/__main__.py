"""`python -m tollgate_cli.demo_provider --listen HOST:PORT --key-file FILE [--state FILE]`."""

import argparse
import asyncio
import signal
from pathlib import Path

from tollgate_cli.demo_provider.server import Provider
from tollgate_cli.demo_provider.stats import Stats
from tollgate_cli.demo_provider.wire import Connection

_BACKLOG = 4_096


async def _serve(host: str, port: int, key: str, state: Path | None) -> None:
    stats = Stats.load(state) if state else Stats()
    provider = Provider(key, stats)
    server = await asyncio.start_server(
        provider.serve, host, port, backlog=_BACKLOG, limit=Connection.limit_bytes()
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    address = server.sockets[0].getsockname()
    print(f"demo provider listening on {address[0]}:{address[1]}", flush=True)
    await stopped.wait()
    server.close()
    if state:
        stats.save(state)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tollgate demo provider")
    parser.add_argument("--listen", required=True, help="HOST:PORT; port 0 takes a free one")
    parser.add_argument("--key-file", required=True, type=Path, help="holds the accepted key")
    parser.add_argument("--state", type=Path, help="keeps the counters over restarts")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    asyncio.run(_serve(host, int(port), options.key_file.read_text().strip(), options.state))


if __name__ == "__main__":
    main()
