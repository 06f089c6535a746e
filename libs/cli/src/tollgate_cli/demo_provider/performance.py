"""How an answer that begins well is performed: by its script, in its protocol, with true counts."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from tollgate_cli.demo_provider import misbehave, script
from tollgate_cli.demo_provider.speech.conversation import Counts, Piece
from tollgate_cli.demo_provider.speech.speech import Speech
from tollgate_cli.demo_provider.stats import ServedCall
from tollgate_cli.demo_provider.wire import Exchange


@dataclass
class Performance:
    """One answer by its script; keeps the call's true counts as it goes."""

    exchange: Exchange
    speech: Speech
    call: ServedCall
    key: str

    def __post_init__(self) -> None:
        self.question = self.speech.question
        self.script = script.of(self.question.model)
        # Pieces that were said.
        self.count = 0

    async def run(self) -> None:
        """Answers; raises PeerGoneError when there is nobody left to answer."""
        await self.exchange.pause(self.script.delay_ms / 1000)
        self.call.input_tokens = self.question.input_tokens
        if self.question.stream:
            await self._stream()
        else:
            await self._body()

    async def _body(self) -> None:
        if self.script.endless:
            await self._endless_body()
            return
        if self.script.then == "error":
            await misbehave.refuse(self.exchange, self.speech, 500, f"failed for key {self.key}")
            return
        said = list(self._pieces())
        self.call.output_tokens = len(said) * self.question.choices
        body = self.speech.body(self.script.answer(self.question, said))
        if self.script.broken_json:
            body = body[:-1] + b",,}"
        headers = {}
        if self.script.gzip:
            body = gzip.compress(body)
            headers["content-encoding"] = "gzip"
        if self.script.then in ("hang", "reset"):
            await self._half(body)
        elif self.script.gap_ms:
            await self._drip(body)
        else:
            await self.exchange.send(200, body, headers=headers)

    async def _half(self, body: bytes) -> None:
        await self._head(len(body))
        await self.exchange.raw(body[: len(body) // 2])
        if self.script.then == "hang":
            await self.exchange.hang()
        await self._reset()

    async def _drip(self, body: bytes) -> None:
        await self._head(len(body))
        step = max(1, len(body) // 10)
        for start in range(0, len(body), step):
            await self.exchange.pause(self.script.gap_ms / 1000)
            await self.exchange.raw(body[start : start + step])

    async def _head(self, size: int) -> None:
        headers = {"content-type": "application/json", "content-length": str(size)}
        await self.exchange.head(200, "OK", headers=headers)

    async def _endless_body(self) -> None:
        whole = self.speech.body(self.script.answer(self.question, [*islice(self._pieces(), 1)]))
        first = next(self._pieces()).text.encode()
        await self.exchange.begin_stream("application/json")
        await self.exchange.chunk(b"".join(whole.partition(first)[:2]))
        while True:
            await self.exchange.pause(self.script.gap_ms / 1000)
            await self.exchange.chunk(b" word" * 100)
            self.call.output_tokens += 100

    async def _stream(self) -> None:
        await self._begin()
        await self._send(self.speech.opening(self._reported(1)))
        for piece in self._pieces():
            if self.count == self.script.stop_after and await self._stop():
                return
            if self.script.gap_ms:
                await self.exchange.pause(self.script.gap_ms / 1000)
            self.count += 1
            await self._send(self.speech.say(piece, self._reported(self.count)))
            self.call.output_tokens += self.question.choices
        if self.script.broken_json:
            await self._send(self.speech.broken_event())
        await self._send(self._closing(usage_on_last=self.script.usage_on_last))
        await self._end()

    async def _stop(self) -> bool:
        """Does what the script has in the middle; whether that was the end."""
        match self.script.then:
            case "hang":
                await self.exchange.hang()
            case "reset":
                await self._reset()
            case "error":
                await self._send(self.speech.error_event(f"Overloaded; key {self.key}"))
                await self._end()
            case "done":
                await self._send(self._closing())
                return False
        return True

    def _closing(self, *, usage_on_last: bool = False) -> bytes:
        end = self.script.end(self.question, self.count)
        usage = self._reported(self.count)
        return self.speech.closing(end, usage, usage_on_last=usage_on_last)

    def _pieces(self) -> Iterator[Piece]:
        return self.script.pieces(self.question)

    def _reported(self, count: int) -> Counts | None:
        return self.script.reported(self.question, count)

    async def _reset(self) -> None:
        # What was written must leave before the reset discards it.
        await self.exchange.pause(0.05)
        self.exchange.reset()

    async def _begin(self) -> None:
        self._packed = bytearray() if self.script.gzip else None
        if self._packed is None:
            await self.exchange.begin_stream(self.speech.stream_type)

    async def _send(self, events: bytes) -> None:
        if self._packed is None:
            await self.exchange.chunk(events)
        else:
            self._packed += events

    async def _end(self) -> None:
        if self._packed is None:
            await self.exchange.end_stream()
            return
        await self.exchange.send(
            200,
            gzip.compress(bytes(self._packed)),
            content_type=self.speech.stream_type,
            headers={"content-encoding": "gzip"},
        )
