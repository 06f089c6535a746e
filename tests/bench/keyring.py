"""`python -m tests.bench.keyring [--write-docs]`: what opening upstreams' keys costs, by keyring.

A real Vault beside the file, in one run, on loopback: decrypts a second, router's CPU for each,
and its CPU for a call that takes its key from `ProviderKeys`, the renewals that fall to it
included. That clock is injected: as many calls a second as said pass by it, at full speed, so each
key is decrypted as often for a call as it is in production. Vault's own CPU is not counted.
"""

import argparse
import asyncio
import contextlib
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from tests.contract.keyring import every
from tests.contract.keyring.vault_world import AheadClock
from tests.unit.test_tidy import ROOT
from tests.vault.server import VaultServer, vault_server
from tollgate_dialects.common.google_account import ServiceAccount
from tollgate_dialects.dialect import Protocol
from tollgate_kit.keyring.base import Keyring
from tollgate_kit.secret import Secret
from tollgate_router.providers import base_url
from tollgate_router.providers.catalogue import Candidate, ProviderKey, encryption_context
from tollgate_router.providers.provider_keys import ProviderKeys

_KINDS = ("file", "vault")
_IN_FLIGHT = (1, 32)
_SECONDS = 2.0
_ROUNDS = 3
# Of one key. With fewer, renewals weigh more: at one call a second, twenty share one.
_CALLS_PER_SECOND = (1, 10, 100)
_CALLS = 4_000
_PAGE = ROOT / "docs/performance.md"
_BEGIN, _END = "<!-- written by tests/bench/keyring.py -->", "<!-- end of keyrings -->"
_HEAD = (
    "| keyring | decrypts a second, by requests in flight | router's CPU a decrypt, µs | "
    "router's CPU a call for its key, µs, by calls a second with that key |\n|---|---|---|---|\n"
)


class _Decrypts(NamedTuple):
    per_second: float
    cpu_us: float


async def _decrypts(ring: Keyring, in_flight: int) -> _Decrypts:
    context = "tenant|key|https://upstream.example:443"
    encrypted = await ring.encrypt(every.NAME, context, Secret(b"k" * 100))
    ends, done = time.monotonic() + _SECONDS, 0

    async def one() -> None:
        nonlocal done
        while time.monotonic() < ends:
            await ring.decrypt(every.NAME, context, encrypted)
            done += 1

    began, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(one() for _ in range(in_flight)))
    cpu_us = (time.process_time() - cpu) * 1e6
    return _Decrypts(done / (time.monotonic() - began), cpu_us / done)


async def _no_exchange(_account: ServiceAccount) -> NoReturn:
    raise AssertionError("an API key is no account")


async def _call_us(ring: Keyring, per_second: int) -> float:
    clock = AheadClock()
    keys = ProviderKeys(ring, exchange=_no_exchange, clock=clock)
    address = base_url.parse("https://upstream.example/v1", allow_private=False)
    encrypted = await keys.encrypt("tenant", "key", address, Secret(b"sk-" + b"k" * 97))
    candidate = Candidate(
        "p",
        Protocol.OPENAI_CHAT,
        address,
        ProviderKey("key", "tenant", encrypted),
        "m",
        encryption_context("tenant", "key", address),
    )
    cpu = time.process_time()
    for _ in range(_CALLS):
        clock.ahead += 1 / per_second
        if keys.at_hand(candidate) is None:
            await keys.open(candidate)
            # One that bridges is handed out at once: the next one must come in before the clock
            # goes on, as it does within milliseconds of real time.
            await asyncio.sleep(0.003)
    return (time.process_time() - cpu) * 1e6 / _CALLS


@contextlib.asynccontextmanager
async def _opened(kind: str, vault: VaultServer) -> AsyncIterator[Keyring]:
    with tempfile.TemporaryDirectory() as directory:
        async with every.opened(kind, vault, Path(directory)) as ring:
            yield ring


async def _line(kind: str, vault: VaultServer) -> str:
    async with _opened(kind, vault) as ring:
        found = [
            [await _decrypts(ring, in_flight) for _ in range(_ROUNDS)] for in_flight in _IN_FLIGHT
        ]
        calls = [
            statistics.median([await _call_us(ring, rate) for _ in range(_ROUNDS)])
            for rate in _CALLS_PER_SECOND
        ]
    cells = (
        kind,
        _each(_IN_FLIGHT, [statistics.median(d.per_second for d in ds) for ds in found], "{:.0f}"),
        _each(_IN_FLIGHT, [statistics.median(d.cpu_us for d in ds) for ds in found], "{:.0f}"),
        _each(_CALLS_PER_SECOND, calls, "{:.1f}"),
    )
    return f"| {' | '.join(cells)} |\n"


def _each(names: tuple[int, ...], figures: list[float], form: str) -> str:
    return ", ".join(f"{n}: {form.format(one)}" for n, one in zip(names, figures, strict=True))


async def _table(vault: VaultServer) -> str:
    return _HEAD + "".join([await _line(kind, vault) for kind in _KINDS])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.keyring", description=__doc__)
    parser.add_argument("--write-docs", action="store_true", help="into docs/performance.md")
    given = parser.parse_args()
    with vault_server(say=print) as vault:
        table = asyncio.run(_table(vault))
    print(table, end="")
    if given.write_docs:
        block = f"{_BEGIN}\n{table}{_END}"
        page = _PAGE.read_text()
        _PAGE.write_text(re.sub(f"{_BEGIN}.*{_END}", lambda _: block, page, flags=re.DOTALL))


if __name__ == "__main__":
    main()
