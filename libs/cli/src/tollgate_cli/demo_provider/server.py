"""The demo provider's routes: whose call it is, whether it may be made, who answers it."""

import asyncio
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qsl

from tollgate_cli.demo_provider import misbehave
from tollgate_cli.demo_provider.performance import Performance
from tollgate_cli.demo_provider.speech import protocols
from tollgate_cli.demo_provider.speech.chat import Chat
from tollgate_cli.demo_provider.speech.responses import Responses
from tollgate_cli.demo_provider.speech.speech import CREATED, Speech
from tollgate_cli.demo_provider.stats import ServedCall, Stats
from tollgate_cli.demo_provider.wire import Connection, Exchange, PeerGoneError

# OpenAI's code for a request that is none.
_SHAPE = "invalid_value"
_STORED = re.compile(r"/v1/responses/([^/]+)(/cancel|/input_items)?")
# Beside `Authorization: Bearer`.
_KEY_HEADERS = ("x-api-key", "x-goog-api-key")


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
        spoken = protocols.of(request.path)
        if not self._is_key(exchange):
            self._stats.refused_keys += 1
            await misbehave.refuse(exchange, spoken or Chat, 401, "Incorrect API key provided.")
        elif request.path == "/v1/models" and request.method == "GET":
            await exchange.send(200, _models())
        elif spoken is None and (named := _STORED.fullmatch(request.path)):
            await _about_response(exchange, *named.groups())
        elif spoken is None:
            await misbehave.refuse(exchange, Chat, 404, "Unknown path.")
        elif request.method != "POST":
            await misbehave.refuse(exchange, spoken, 405, "Use POST.")
        else:
            await self._model_call(exchange, spoken)

    def _is_key(self, exchange: Exchange) -> bool:
        return hmac.compare_digest(_presented(exchange).encode(), self._key.encode())

    async def _model_call(self, exchange: Exchange, spoken: type[Speech]) -> None:
        request = exchange.request
        try:
            speech = spoken.hear(request)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            code = getattr(error, "code", _SHAPE)
            await misbehave.refuse(exchange, spoken, 400, str(error), code=code)
            return
        question = speech.question
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
                await act(exchange, speech, self._key, None)
            else:
                await Performance(exchange, speech, call, self._key).run()
            aborted = False
        finally:
            call.status = exchange.status
            self._stats.end(call, aborted=aborted)


async def _about_response(exchange: Exchange, response_id: str, below: str | None) -> None:
    """What is asked about a response that is kept, as OpenAI answers it."""
    kept, request = Responses.kept.find(response_id), exchange.request
    document: dict[str, Any] | None = None
    if kept is None:
        told = f"Response with id '{response_id}' not found."
        await misbehave.refuse(exchange, Responses, 404, told, code=_SHAPE)
        return
    match request.method, below:
        case "GET", None:
            document = kept.document
        case "GET", "/input_items":
            document = kept.page(dict(parse_qsl(request.query)))
        case "DELETE", None:
            Responses.kept.delete(response_id)
            document = {"id": response_id, "object": "response", "deleted": True}
        case "POST", "/cancel":
            told = "Cannot cancel a synchronous response."
            await misbehave.refuse(exchange, Responses, 400, told, code=_SHAPE)
            return
    if document is None:
        await misbehave.refuse(exchange, Responses, 405, "Use another method.")
    else:
        await exchange.send(200, json.dumps(document).encode())


def _presented(exchange: Exchange) -> str:
    headers = exchange.request.headers
    own = (headers[name] for name in _KEY_HEADERS if name in headers)
    return next(own, headers.get("authorization", "").removeprefix("Bearer "))


def _models() -> bytes:
    data = [
        {"id": spoken.model, "object": "model", "created": CREATED, "owned_by": "demo"}
        for spoken in protocols.PROTOCOLS.values()
    ]
    return json.dumps({"object": "list", "data": data}).encode()
