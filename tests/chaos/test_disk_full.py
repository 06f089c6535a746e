"""Case B3: a disk is full, then there is space again: the suite serves again by itself.

Each place where a process writes is a small file system of its own, so that one can be full at a time.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psycopg
import pytest

from tests.chaos.trickle import Trickle, assert_nothing_lost, supervised
from tests.integration.trust.test_stores import superuser
from tests.live import Key, Live, wait_until
from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc

SERVICES = ("audit", "authz", "budget", "router", "edge-api", "redis")
MOUNTS = {"worm": "48m", "postgres": "320m", **{f"disks/{name}": "4m" for name in SERVICES}}


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose WORM directory, database and logs are each on a small file system."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small file systems that are to be full")
    home = tmp_path_factory.mktemp("disk-full") / "home"
    mounted = []
    try:
        for name, size in MOUNTS.items():
            place = home / name
            place.mkdir(parents=True)
            options = f"size={size},mode=0700"
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)],
                check=False, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                pytest.skip(f"this machine's root may not mount: {done.stderr.strip()}")
            mounted.append(place)
        (home / "logs").mkdir()
        for name in SERVICES:
            (home / f"logs/{name}.log").symlink_to(home / f"disks/{name}/{name}.log")
        yield home
    finally:
        for place in reversed(mounted):
            subprocess.run(["umount", "--lazy", str(place)], check=False)


@pytest.fixture(scope="module")
def own(disks: Path) -> Iterator[Live]:
    with supervised(disks) as live:
        yield live


@pytest.fixture(scope="module")
def key(own: Live) -> Key:
    return own.key(own.tenant())


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    return own.model("demo-gpt")


@contextlib.contextmanager
def full(place: Path) -> Iterator[None]:
    """A file system without a free byte, for the length of the block."""
    filler = place / "filler"
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        _write_all(descriptor)
        yield
    finally:
        os.close(descriptor)
        filler.unlink()


def _write_all(descriptor: int) -> None:
    """Write newlines until not one more fits."""
    block = 1024 * 1024
    while block:
        try:
            os.write(descriptor, b"\n" * block)
        except OSError:
            block //= 4


@pytest.mark.parametrize("service", SERVICES)
def test_case_B3_a_full_log_disk_costs_no_call(own: Live, key: Key, model: str, service: str):
    """The disk of a service's log is full for seconds: every call is answered, then lines are counted."""
    place = own.suite.home.root / "disks" / service
    pid = own.suite.pid(service)
    log = own.suite.home.log(service)
    with Trickle(own, key, model) as trickle:
        trickle.wait_steady(0, 20)
        moment = time.monotonic()
        with full(place):
            with log.open("ab", buffering=0) as rest:  # what is left of its last page
                _write_all(rest.fileno())
            _make_it_log(own, service)
            wait_until(lambda: len(trickle.since(moment)) > 30, 20)
        freed = time.monotonic()
        trickle.wait_steady(freed)
        if service != "redis":  # it is no program of ours, and says nothing
            _make_it_log(own, service)
            wait_until(lambda: b"log.lines_lost" in log.read_bytes(), 10)
    assert {200} == set(trickle.since(moment))
    assert pid == own.suite.pid(service)
    assert_nothing_lost(own, trickle.calls)


def _make_it_log(own: Live, service: str) -> None:
    """Each of these has its service write a line or more."""
    if service == "router":
        own.model("demo-gpt")
    elif service == "authz":
        own.tenant()
    elif service == "budget":
        own.set_limit(f"tenant:{own.tenant()}", 5)
    elif service == "audit":
        # A caller that is not on the list: audit's warning of it.
        stub = audit_pb2_grpc.AuditReadServiceStub(own.channel("router", "audit"))
        with pytest.raises(grpc.RpcError):
            stub.GetCheckpoint(audit_pb2.GetCheckpointRequest(), timeout=5)


def test_case_B3_a_full_evidence_disk_is_published_to_when_there_is_space(
    own: Live, key: Key, model: str
):
    """The WORM directory is full for seconds: calls go on, and what waited is published soon after."""
    worm = own.suite.home.worm
    pid = own.suite.pid("audit")
    with Trickle(own, key, model) as trickle:
        trickle.wait_steady(0, 20)
        moment = time.monotonic()
        with full(worm):
            time.sleep(4)
            behind = _published(worm)
        freed = time.monotonic()
        trickle.wait_steady(freed)
        wait_until(lambda: _published(worm) > behind, 5)
    assert {200} == set(trickle.since(moment))
    assert pid == own.suite.pid("audit")
    assert [] == list((worm / ".tmp").iterdir())
    assert_nothing_lost(own, trickle.calls)


def _published(worm: Path) -> int:
    return int((worm / "checkpoint").read_text().splitlines()[1])


def test_case_B3_a_full_database_disk_recovers(own: Live, key: Key, model: str):
    """PostgreSQL on a full disk (it may end itself over its own log): 503, then served again."""
    place = own.suite.home.root / "postgres"
    with Trickle(own, key, model) as trickle:
        trickle.wait_steady(0, 20)
        moment = time.monotonic()
        with full(place):
            with contextlib.suppress(psycopg.Error), superuser(own) as connection:
                for _ in range(20):  # until there is no room for a segment of the log
                    connection.execute("create table if not exists filling (t text)")
                    connection.execute("insert into filling select repeat('x', 9000) from generate_series(1, 2000)")  # fmt: skip
                    connection.execute("select pg_switch_wal()")
            wait_until(lambda: 503 in trickle.since(moment), 20)
            time.sleep(3)
        freed = time.monotonic()
        trickle.wait_steady(freed)
    assert set(trickle.since(moment)) <= {200, 503, 0}
    assert_nothing_lost(own, trickle.calls)
