"""Callers that leave, files that are no secret-id, a Vault that talks nonsense: nothing hangs on it.

What goes wrong with one thing must not end another: the token that there is goes on.
"""

import asyncio
import contextlib
import json
import os
import zlib
from pathlib import Path

import pytest

from tests.contract.keyring.vault_front import answer, front
from tests.contract.keyring.vault_world import CANARY, CONTEXT, NAME
from tollgate_kit.keyring.base import KeyringFault
from tollgate_kit.secret import Secret

ODD_TEXT = "\u00e9\u00e9"


def told(data, *headers) -> bytes:
    return answer(b"200 OK", json.dumps({"data": data}).encode(), *headers)


def bomb() -> bytes:
    """A gigabyte of zeros, in a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    text = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024))
    return answer(b"200 OK", text + packer.flush(), b"Content-Encoding: gzip")


NONSENSE = {
    "no_json": answer(b"200 OK", b"<html>"),
    "list": answer(b"200 OK", b"[1]"),
    "deep": answer(b"200 OK", b"[" * 200_000),
    "data_is_a_list": told([1]),
    "no_keys": told({"type": "ed25519", "keys": None, "latest_version": 1}),
    "keys_are_a_list": told({"type": "ed25519", "keys": [1], "latest_version": 1}),
    "key_is_a_number": told({"type": "ed25519", "keys": {"1": 5}, "latest_version": 1}),
    "key_without_a_half": told({"type": "ed25519", "keys": {"1": {}}, "latest_version": 1}),
    "errors_are_null": answer(b"400 Bad Request", b'{"errors":null}'),
    "text_that_is_no_base64": told(
        {"plaintext": ODD_TEXT, "batch_results": [{"plaintext": ODD_TEXT}]}
    ),
    "numbers": told({"plaintext": 5, "ciphertext": 5, "batch_results": [5], "signature": 5}),
    "date": told({}, b"Date: Sat, 28 Nov 99999999999999999999 04:00:00 GMT"),
    "redirect": answer(b"302 Found", b"", b"Location: https://127.0.0.1:1/"),
    "no_gzip": answer(b"200 OK", b"xxxxx", b"Content-Encoding: gzip"),
    "no_http": b"\xff" * 300 + b"\r\n\r\n",
}


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_callers_who_leave_take_no_connection_along(world, ciphertext):
    """However many give up, at whatever moment of a request: the next is answered."""
    async with world.keyring() as ring:
        await ring.public_key("tlog")
        before = descriptors()
        for turn in range(40):
            asked = [asyncio.create_task(ring.sign("tlog", b"%d" % n)) for n in range(20)]
            await asyncio.sleep(0.002 * (turn % 8))
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        assert Secret(CANARY) == await ring.decrypt(NAME, CONTEXT, ciphertext)
        assert descriptors() <= before + 16
    assert ["vault.logged_in"] == world.events()


@pytest.mark.parametrize("what", ["binary", "huge", "pipe", "of_a_namespace"])
async def test_a_delivery_that_is_none_leaves_the_token_alone(world, what):
    """Both tokens are renewed, at once, and it is said what is wrong with the file."""
    async with world.keyring(writer=world.writer()) as ring:
        file = world.file("reader.secret-id")
        match what:
            case "binary":
                file.write_bytes(b"\xff\xfe" + CANARY)
            case "huge":
                file.write_bytes(b"a" * 50_000_000)
            case "pipe":
                os.mkfifo(file)
            case "of_a_namespace":
                file.write_text("hvs.CAESIFTUo195x8x9AjGY5GVJ.q1w2e")
        file.chmod(0o400)
        world.clock.ahead = 605
        async with asyncio.timeout(2):
            await ring.tick()
        assert 2 == world.requests("renew")
    assert "vault.not_logged_in" in world.events()
    assert CANARY.decode() not in world.out.getvalue()


@pytest.mark.parametrize("said", [*NONSENSE.values(), bomb()], ids=[*NONSENSE, "bomb"])
async def test_a_vault_that_talks_nonsense(world, ciphertext, said):
    """Whatever it says is a fault of the keyring's own kind, and the next true answer is taken."""
    async with front(world.server) as before:
        world.address, before.answer = before.address, said
        wrapped = {"pepper": world.wrap("pepper", b"p" * 32)}
        async with world.keyring(wrapped=wrapped) as ring:
            before.fail(is_failing=True)
            for asked in (
                ring.encrypt(NAME, CONTEXT, Secret(CANARY)),
                ring.decrypt(NAME, CONTEXT, ciphertext),
                ring.mac_key("pepper"),
                ring.public_key("tlog"),
                ring.sign("tlog", CANARY),
            ):
                with pytest.raises(KeyringFault):
                    await asked
            with contextlib.suppress(KeyringFault):
                await ring.check(NAME, "aes256")
            before.fail(is_failing=False)
            assert Secret(CANARY) == await ring.decrypt(NAME, CONTEXT, ciphertext)
    assert CANARY.decode() not in world.out.getvalue()
