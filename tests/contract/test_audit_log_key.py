"""The log's key is changed at SIGHUP, in a process that goes on appending and publishing."""

import asyncio
import json
import signal

import psycopg
import pytest

from tests.contract.test_audit_rights import dsns, process, published
from tests.contract.test_audit_service import entry, request, said_until
from tollgate.audit.v1 import audit_pb2_grpc
from tollgate_audit.log.publish_right import _LOCK
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.secret import Secret
from tollgate_tlog import checkpoint, fsck, note

__all__ = ["process"]


@pytest.fixture
def with_two(process):
    """An audit whose keyring has a second key of the log."""
    key = ("ed25519", Secret(b"2" * 32))
    path = process.directory / "keyring.json"
    keyring_file.change(path, Secret("passphrase"), add={"tlog-2": key})
    return process


def configure(process, versions, former=()):
    text = process.config.read_text().split("[keyring.versions]")[0]
    text = "".join(f"{line}\n" for line in text.splitlines() if "former_keys" not in line)
    text = text.replace("[log]\n", f"[log]\nformer_keys = {json.dumps(list(former))}\n")
    process.config.write_text(f"{text}[keyring.versions]\ntlog = {versions}\n")


async def reload(running) -> str:
    """SIGHUP; its log up to the line that says what became of it."""
    running.send_signal(signal.SIGHUP)
    return await said_until(running, '"reload.', 35)


def lines(process):
    return (process.directory / "log.vkey").read_text().splitlines()


def signatures(process) -> set[bytes]:
    """The ids of the keys that signed the newest checkpoint."""
    data = (process.directory / "worm" / checkpoint.LATEST_PATH).read_bytes()
    return {line.key_id for line in note.parse(data).signatures}


def holds(process, *keys: str) -> bool:
    parsed = [note.parse_key(key) for key in keys or lines(process)]
    return not fsck.check(process.directory / "worm", parsed, now_unix_ms=0).faults.total


async def test_what_waits_is_published_under_both_keys_then_under_the_new(with_two):
    """Entries that the old key marked are published by it and the new one; the line comes after."""
    # Nobody publishes while another has the right to.
    with psycopg.connect(dsns(with_two)[1], autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", (_LOCK,))
        running = await with_two.serving()
        (old,) = lines(with_two)
        async with with_two.channel("edge-api") as edge:
            append = audit_pb2_grpc.AuditServiceStub(edge).Append
            await rpc_client.call(append, request(entry(1)), 5)
            configure(with_two, [1, 2])
            reloading = asyncio.create_task(reload(running))
            await asyncio.sleep(1)
            assert [old] == lines(with_two)
            await rpc_client.call(append, request(entry(2)), 5)
            other.execute("select pg_advisory_unlock(%s)", (_LOCK,))
            assert '"reload.done"' in await reloading
            new, second = lines(with_two)
            assert (old, 2) == (second, len(signatures(with_two)))
            assert holds(with_two, old)
            assert holds(with_two)
            configure(with_two, [2], [old])
            assert '"reload.done"' in await reload(running)
            assert 3 in (await rpc_client.call(append, request(entry(3)), 5)).indices
            await published(with_two, 4)
    running.terminate()
    assert 0 == await running.wait()
    assert [new, old] == lines(with_two)
    assert {note.parse_key(new).key_id} == signatures(with_two)
    assert holds(with_two)


async def test_a_key_that_is_needed_is_not_given_up(with_two):
    """Not the newest at once, not one that nobody lists: the process goes on as before."""
    running = await with_two.serving()
    before = lines(with_two)
    configure(with_two, [2], before)
    assert "the newest key must stay" in await reload(running)
    configure(with_two, [1, 2])
    assert '"reload.done"' in await reload(running)
    configure(with_two, [2])
    assert "former_keys must have what signed before" in await reload(running)
    assert 2 == len(lines(with_two))
    running.kill()
    await running.wait()
    # Killed between both: it starts with both, and a change is no second one.
    configure(with_two, [1, 2])
    running = await with_two.serving()
    assert '"reload.done"' in await reload(running)
    assert holds(with_two)
    running.terminate()
    assert 0 == await running.wait()
    assert not (with_two.directory / "worm/checkpoints/2").exists()
