"""What hangs on the log's key when audit moves to a keyring that has another."""

import json

import psycopg
import pytest

from tests.contract import audit_log
from tests.contract.audit_log import MAC, submission
from tests.contract.test_audit_rights import CALL, dsn, process, published, served
from tests.contract.test_audit_service import entry, request
from tollgate.audit.v1 import audit_pb2, audit_pb2_grpc
from tollgate_audit import rights
from tollgate_audit.log.entry_mac import Altered, EntryMac, Row
from tollgate_kit.keyring import file as keyring_file
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.secret import Secret

__all__ = ["dsn", "process"]

LISTED = "select log_index, leaf, mac from entry order by log_index"


async def test_entries_that_wait_are_marked_anew_or_nothing_is(dsn):
    """Each under the new secret, after its mark was checked; one that was altered stops it, unchanged."""
    pool = await audit_log.pool_of(dsn)
    async with audit_log.store_of(pool) as store:
        await store.append([submission("edge-api/1", 1, 3)])
    await pool.close()
    anew = EntryMac(b"n" * 32)
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as owner:
        with pytest.raises(Altered):
            await rights.mark_anew(owner, EntryMac(b"x" * 32), anew)
        assert (3, 0) == (
            await rights.mark_anew(owner, MAC, anew),
            await rights.mark_anew(owner, MAC, anew),
        )
        rows = map(Row._make, await (await owner.execute(LISTED)).fetchall())
        assert [True] * 3 == [anew.holds(row) for row in rows]


async def test_another_log_key_is_listed_first_and_then_the_log_goes_on(process):
    """rekey refuses and names the line to add; then old and new entries are shown, and all verifies."""
    async with served(process), process.channel("edge-api") as edge:
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        await rpc_client.call(append, request(entry(1)), 5)
        await published(process, 1)
    keys = {"tlog": "ed25519", "subject-keys": "aes256"}
    keyring_file.create(process.directory / "other.json", Secret("passphrase"), keys)
    text = process.config.read_text()
    former = process.directory / "former.toml"
    former.write_text(text)
    process.config.write_text(text.replace('"keyring.json"', '"other.json"'))
    old = (process.directory / "log.vkey").read_text().strip()
    code, said = await process.run("rekey", "--from", str(former))
    wanted = f"former_keys = {json.dumps([old])}"
    assert (1, True) == (code, wanted in said), said
    process.config.write_text(f"{process.config.read_text()}{wanted}\n")
    code, said = await process.run("rekey", "--from", str(former))
    assert 0 == code, said
    async with served(process), process.channel("edge-api") as edge:
        get_call = audit_pb2_grpc.AuditReceiptServiceStub(edge).GetCall
        assert 1 == len((await rpc_client.call(get_call, CALL, 5)).entries)
        append = audit_pb2_grpc.AuditServiceStub(edge).Append
        # The change is an entry, and the new key is told only when it has signed that.
        assert old == (process.directory / "log.vkey").read_text().splitlines()[1]
        assert [2] == list((await rpc_client.call(append, request(entry(2)), 5)).indices)
        await published(process, 3)
        async with process.channel("operator") as operator:
            listed = audit_pb2_grpc.AuditReadServiceStub(operator).ListEntries
            page = await rpc_client.call(listed, audit_pb2.ListEntriesRequest(page_size=9), 5)
            assert [0, 1, 2] == [row.index for row in page.entries]
            assert "LOG_KEY_CHANGED" == json.loads(page.entries[1].leaf)["kind"]
