"""What black-box tests look at: every sink of a suite, what upstream saw, what an error looks like."""

import contextlib
import time
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import redis

from tests import memory
from tests.live import Key, Live

UUID7 = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
# On every answer, errors included.
ALWAYS = ("x-request-id", "x-tollgate-trace-id")
FACTS = ("x-tollgate-cost-usd", "x-tollgate-usage-input-tokens", "x-tollgate-usage-output-tokens")


# ---- sinks ---------------------------------------------------------------------------------------


def sinks(live: Live) -> Iterator[tuple[str, bytes]]:
    """(name, everything in it) of each place where a suite keeps or shows something."""
    for path in sorted(live.suite.home.logs.rglob("*")):
        if path.is_file():
            yield f"log {path.name}", path.read_bytes()
    yield from _metrics(live)
    for name in _databases(live):
        yield from _tables(live, name)
    yield "redis", _redis(str(live.suite.describe()["redis_url"]))
    for path in sorted(live.suite.home.worm.rglob("*")):
        if path.is_file():
            yield f"worm {path.relative_to(live.suite.home.worm)}", path.read_bytes()
    for name in live.suite.names:
        for part in ("cmdline", "environ"):
            yield f"{name} {part}", memory.told_of(live.suite.pid(name), part)


def holding(live: Live, needles: Mapping[str, str]) -> list[str]:
    """Which sink holds which needle, plain or as the hex of a dumped binary column."""
    published(live)
    return [
        f"{what} in {where}"
        for where, content in sinks(live)
        for what, needle in needles.items()
        if needle.encode() in content or needle.encode().hex().encode() in content
    ]


def published(live: Live, seconds: float = 10) -> None:
    """Wait until everything appended so far stands in the WORM directory."""
    size = len(live.entries())
    checkpoint = live.suite.home.worm / "checkpoint"
    deadline = time.monotonic() + seconds
    while not (checkpoint.exists() and int(checkpoint.read_text().splitlines()[1]) >= size):
        assert time.monotonic() < deadline, "the log was not published"
        time.sleep(0.05)


def _metrics(live: Live) -> Iterator[tuple[str, bytes]]:
    for path in sorted(live.suite.home.config.glob("*.toml")):
        listen = tomllib.loads(path.read_text())["metrics"]["listen"]
        answer = httpx.get(f"http://{listen}/metrics", timeout=10)
        assert 200 == answer.status_code
        yield f"metrics {path.stem}", answer.content


def _databases(live: Live) -> Mapping[str, str]:
    databases = live.suite.describe()["databases"]
    assert isinstance(databases, dict)
    return databases


def _tables(live: Live, name: str) -> Iterator[tuple[str, bytes]]:
    with live.database(name) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        assert tables
        for (table,) in tables:
            with connection.cursor().copy(f"copy (select * from {table}) to stdout") as copy:  # type: ignore[arg-type]
                yield f"{name}.{table}", b"".join(bytes(part) for part in copy)


def _redis(url: str) -> bytes:
    client = redis.Redis.from_url(url)
    try:
        parts = []
        for key in client.scan_iter(count=1000):
            parts += [key, client.dump(key) or b""]
        return b"\n".join(parts)
    finally:
        client.close()


# ---- upstream and money --------------------------------------------------------------------------


def stats(live: Live) -> dict[str, Any]:
    """What the demo provider served."""
    document: dict[str, Any] = httpx.get(
        f"{live.suite.provider_url}/_demo/stats", timeout=10
    ).json()
    return document


def served(live: Live, upstream_model: str) -> list[dict[str, Any]]:
    """The provider's own record of the calls of one of its models."""
    return [c for c in stats(live)["calls"].values() if c["model"] == upstream_model]


@contextlib.contextmanager
def nothing_happens(live: Live, key: Key) -> Iterator[None]:
    """Asserts that in the block no upstream was asked and no money of the tenant moved."""
    account_id = f"tenant:{key.tenant_id}"
    before = (stats(live)["requests"], live.account(account_id), live.transfers(account_id))
    yield
    assert before == (
        stats(live)["requests"], live.account(account_id), live.transfers(account_id),
    )  # fmt: skip


# ---- errors --------------------------------------------------------------------------------------


def error_in(body: Any) -> dict[str, Any]:
    """The error of a body that satisfies both SDKs at once."""
    assert {"type", "error", "request_id"} == set(body)
    error: dict[str, Any] = body["error"]
    assert ("error", True) == (body["type"], bool(body["request_id"]))
    assert {"code", "message", "type", "param", "trace_id"} <= set(error)
    assert all(isinstance(error[name], str) and error[name] for name in ("code", "message", "type"))
    assert error["trace_id"]
    return error


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of a refused call: shape, trace and the headers that stand on every answer."""
    error = error_in(answer.json())
    # A cost that nobody knows is not shown as zero.
    shown = () if error.get("charge") == "unknown" else FACTS
    assert [] == [name for name in (*ALWAYS, *shown) if name not in answer.headers]
    assert bool(shown) == ("x-tollgate-cost-usd" in answer.headers)
    assert answer.headers["x-tollgate-trace-id"] == error["trace_id"]
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.headers["x-should-retry"] in ("true", "false")
    assert "application/json" == answer.headers["content-type"]
    return error
