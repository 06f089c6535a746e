"""Decryptions that come together go to Vault together.

Promises: who asks waits at most LINGER_SECONDS for company, a batch has BATCH_MAX items, and no
more than WAITING_MAX are unanswered; an item that fails fails alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tollgate_kit.keyring.base import DecryptFailed, KeyringAway, KeyringFault
from tollgate_kit.secret import Secret
from tollgate_kit.work_queue import fail, resolve

LINGER_SECONDS = 0.002
BATCH_MAX = 128
WAITING_MAX = 4096
# Three times what the longest key of an upstream becomes. For an item beyond it, or without a
# context, Vault refuses the whole batch: nothing that was encrypted here is one.
CIPHERTEXT_MAX = 16 * 1024

# A context and a ciphertext.
Item = tuple[str, str]
# Raises KeyringFault if it can answer none.
Send = Callable[[str, Sequence[Item]], Awaitable[Sequence[Secret | KeyringFault]]]


class Batches:
    """The decryptions of one process, gathered by key."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._gathered: dict[str, list[tuple[Item, asyncio.Future[Secret]]]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._unanswered = 0

    async def decrypt(self, name: str, context: str, ciphertext: str) -> Secret:
        """One of many. Raises KeyringFault."""
        if len(ciphertext) > CIPHERTEXT_MAX or not context:
            raise DecryptFailed(f"cannot decrypt with key {name}")
        if self._unanswered >= WAITING_MAX:
            raise KeyringAway(f"{WAITING_MAX} decryptions wait for an answer")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Secret] = loop.create_future()
        gathered = self._gathered.setdefault(name, [])
        gathered.append(((context, ciphertext), answer))
        if len(gathered) == 1:
            loop.call_later(LINGER_SECONDS, self._go, name, gathered)
        elif len(gathered) == BATCH_MAX:
            self._go(name, gathered)
        self._unanswered += 1
        try:
            return await answer
        finally:
            self._unanswered -= 1

    def _go(self, name: str, gathered: list[tuple[Item, asyncio.Future[Secret]]]) -> None:
        """Send what was gathered, unless it went when it was full."""
        if self._gathered.get(name) is not gathered:
            return
        del self._gathered[name]
        task = asyncio.get_running_loop().create_task(self._answer(name, gathered))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _answer(self, name: str, gathered: list[tuple[Item, asyncio.Future[Secret]]]) -> None:
        try:
            answers = await self._send(name, [item for item, _ in gathered])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            for _, waiting in gathered:
                fail(waiting, error)
            return
        for (_, waiting), answer in zip(gathered, answers, strict=True):
            if isinstance(answer, KeyringFault):
                fail(waiting, answer)
            else:
                resolve(waiting, answer)
