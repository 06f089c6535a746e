"""What stands between a process and Vault: a relay that may be slow, or answer in its place."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from tests.vault.server import VaultServer

BODY = b'{"errors":["canary-of-a-body"]}'


def answer(status: bytes, body: bytes, *headers: bytes) -> bytes:
    """One of HTTP/1.1, as bytes."""
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"HTTP/1.1 " + status, *headers, length, b"", body))


class Front:
    """Relays TCP to Vault. `delay_s` holds back what Vault answers; failing, it answers itself."""

    def __init__(self, server: VaultServer) -> None:
        self._vault_port = server.port
        self._failing_port = 0
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.delay_s = 0.0
        self.is_failing = False
        # What it says in Vault's place.
        self.answer = answer(b"500 Internal Server Error", BODY)
        self.port = 0

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def fail(self, *, is_failing: bool) -> None:
        """From now on: Vault's answers, or its own. Open connections end, for they are Vault's."""
        self.is_failing = is_failing
        for writer in self._connections:
            writer.close()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self._failing_port if self.is_failing else self._vault_port
        self._own()
        ends = {writer}
        self._connections.add(writer)
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
            ends.add(other_writer)
            self._connections.add(other_writer)
            await asyncio.gather(
                self._copy(reader, other_writer, is_answer=False),
                self._copy(other_reader, writer, is_answer=True),
            )
        except OSError:
            pass  # nobody listens: who came is sent away
        finally:
            self._connections -= ends
            for end in ends:
                end.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if is_answer and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def answer_itself(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._own()
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"content-length:" in head:
                    await reader.readexactly(int(head.split(b"content-length:")[1].split()[0]))
                writer.write(self.answer)
        writer.close()

    def _own(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """End every connection, and wait for it."""
        self.fail(is_failing=False)
        await asyncio.wait_for(asyncio.gather(*self._tasks), 10)

    async def open(self, server: VaultServer) -> list[asyncio.Server]:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        place = server.directory / "tls"
        tls.load_cert_chain(place / "vault.pem", place / "vault-key.pem")
        failing = await asyncio.start_server(self.answer_itself, "127.0.0.1", 0, ssl=tls)
        self._failing_port = failing.sockets[0].getsockname()[1]
        relay = await asyncio.start_server(self.relay, "127.0.0.1", 0)
        self.port = relay.sockets[0].getsockname()[1]
        return [failing, relay]


@contextlib.asynccontextmanager
async def front(server: VaultServer) -> AsyncIterator[Front]:
    """A relay before a Vault, until the end of the block."""
    made = Front(server)
    servers = await made.open(server)
    try:
        yield made
    finally:
        for one in servers:
            one.close()
            await one.wait_closed()
        await made.ended()
