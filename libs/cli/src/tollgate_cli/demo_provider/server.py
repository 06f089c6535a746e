"""The demo provider's routes, and how an answer is performed."""

import asyncio
import gzip
import hmac
import json
from dataclasses import dataclass

from tollgate_cli.demo_provider import misbehave, script, speech
from tollgate_cli.demo_provider.stats import ServedCall, Stats
from tollgate_cli.demo_provider.wire import Connection, Exchange, PeerGoneError

_PATHS = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic"}
# OpenAI's code for a request that is none.
_SHAPE = "invalid_value"
_MODELS = ("demo-gpt", "demo-claude")
_CREATED = 1_760_000_000


class Provider:
    """Serves connections; `key` is what callers must present."""

    def __init__(self, key: str, stats: Stats) -> None:
        self._key = key
        self._stats = stats

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        connection = Connection(reader, writer)
        try:
            while request := await connection.read():
                exchange = Exchange(request, connection)
                async with connection:
                    await self._answer(exchange)
                if exchange.closes or connection.is_gone:
                    break
        except (PeerGoneError, asyncio.CancelledError):
            # Cancelled at the stop of the process only; asyncio's own callback of Python 3.11 would
            # print a traceback for every idle connection if that went on from here.
            pass
        finally:
            writer.close()

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        if request.path == "/_demo/stats":
            await exchange.send(200, json.dumps(self._stats.document()).encode())
            return
        protocol = _PATHS.get(request.path, "openai")
        if not self._is_key(exchange):
            self._stats.refused_keys += 1
            await exchange.send(401, speech.error(401, "Incorrect API key provided.", protocol))
        elif request.path == "/v1/models" and request.method == "GET":
            await exchange.send(200, _models())
        elif request.path not in _PATHS:
            await exchange.send(404, speech.error(404, "Unknown path.", protocol))
        elif request.method != "POST":
            await exchange.send(405, speech.error(405, "Use POST.", protocol))
        else:
            await self._model_call(exchange, protocol)

    def _is_key(self, exchange: Exchange) -> bool:
        return hmac.compare_digest(_presented(exchange).encode(), self._key.encode())

    async def _model_call(self, exchange: Exchange, protocol: str) -> None:
        request = exchange.request
        try:
            question = speech.Question.parse(request.body, protocol)
        except (ValueError, TypeError, AttributeError) as error:
            await exchange.send(400, speech.error(400, str(error), protocol, code=_SHAPE))
            return
        call = ServedCall(
            model=question.model,
            path=request.path,
            stream=question.stream,
            trace_id=request.headers.get("x-request-id", ""),
        )
        self._stats.begin(call)
        aborted = True
        try:
            act = misbehave.of(question.model)
            if act:
                await act(exchange, question, self._key, None)
            else:
                await _Performance(exchange, question, call, self._key).run()
            aborted = False
        finally:
            call.status = exchange.status
            self._stats.end(call, aborted=aborted)


def _presented(exchange: Exchange) -> str:
    headers = exchange.request.headers
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


def _models() -> bytes:
    data = [
        {"id": name, "object": "model", "created": _CREATED, "owned_by": "demo"} for name in _MODELS
    ]
    return json.dumps({"object": "list", "data": data}).encode()


@dataclass
class _Performance:
    """One answer by its script; keeps the call's true counts as it goes."""

    exchange: Exchange
    question: speech.Question
    call: ServedCall
    key: str

    async def run(self) -> None:
        self.script = script.of(self.question.model)
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
            body = speech.error(500, f"failed for key {self.key}", self.question.protocol)
            await self.exchange.send(500, body)
            return
        words = self.question.words(self.script.words, obeys=self.script.obeys)
        self.call.output_tokens = len(words) * self.question.choices
        reported = self.script.reported(self.question, self.call.output_tokens)
        body = speech.body(self.question, words, reported)
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
        await self.exchange.begin_stream()
        await self.exchange.chunk(b'{"choices":[{"index":0,"message":{"content":"')
        while True:
            await self.exchange.pause(self.script.gap_ms / 1000)
            await self.exchange.chunk(b"word " * 100)
            self.call.output_tokens += 100

    async def _stream(self) -> None:
        await self._begin()
        asked = self.question
        await self._send(speech.opening(asked, self.script.reported(asked, 1)))
        words = asked.words(self.script.words, obeys=self.script.obeys)
        count = 0
        while self.script.endless or count < len(words):
            if count == self.script.stop_after and await self._stop():
                return
            if self.script.gap_ms:
                await self.exchange.pause(self.script.gap_ms / 1000)
            await self._send(speech.delta(asked, speech.word(count)))
            count += 1
            self.call.output_tokens += asked.choices
        if self.script.broken_json:
            await self._send(b'data: {"choices":[,,"error"\n\n')
        reported = self.script.reported(asked, self.call.output_tokens)
        last = speech.closing(asked, count, reported, usage_on_last=self.script.usage_on_last)
        await self._send(last)
        await self._end()

    async def _stop(self) -> bool:
        """Does what the script has in the middle; whether that was the end."""
        match self.script.then:
            case "hang":
                await self.exchange.hang()
            case "reset":
                await self._reset()
            case "error":
                message = f"Overloaded; key {self.key}"
                await self._send(speech.error_event(message, self.question.protocol))
                await self._end()
            case "done":
                reported = self.script.reported(self.question, self.call.output_tokens)
                await self._send(speech.closing(self.question, self.call.output_tokens, reported))
                return False
        return True

    async def _reset(self) -> None:
        # What was written must leave before the reset discards it.
        await self.exchange.pause(0.05)
        self.exchange.reset()

    async def _begin(self) -> None:
        self._packed = bytearray() if self.script.gzip else None
        if self._packed is None:
            await self.exchange.begin_stream()

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
            content_type="text/event-stream",
            headers={"content-encoding": "gzip"},
        )
