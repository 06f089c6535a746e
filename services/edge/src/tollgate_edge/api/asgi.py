"""The ASGI application: the hot routes at once, everything else through FastAPI.

Promises: a hot call costs no routing table, no middleware and no request object; no exception
leaves here, so that nothing of one is shown or logged by the server.
"""

from collections.abc import MutableMapping
from typing import Any

from tollgate_edge.api import paths
from tollgate_edge.api.count_api import CountApi
from tollgate_edge.api.exchange import Exchange, Receive, Scope, Send
from tollgate_edge.api.faces.face import Face
from tollgate_edge.api.paths import Called
from tollgate_edge.api.pipeline import Pipeline
from tollgate_edge.api.read_api import EXCHANGE
from tollgate_edge.api.stored_api import StoredApi
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import answer_headers, cross_origin, request_headers
from tollgate_edge.headers.answer_headers import Headers
from tollgate_edge.headers.cross_origin import CrossOrigin
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log

_TOLD_BY = {told_by: face for face in paths.FACES if (told_by := face.dialect.endpoint.told_by)}


class EdgeApp:
    """The ASGI application: gives each request to the pipeline, to FastAPI, or refuses it."""

    def __init__(
        self,
        pipeline: Pipeline,
        counts: CountApi,
        stored: StoredApi,
        others: Any,
        *,
        origins: CrossOrigin,
        ids: Ids,
        log: Log,
    ) -> None:
        self._pipeline = pipeline
        self._counts = counts
        self._stored = stored
        self._others = others
        self._origins = origins if origins.on else None
        self._ids = ids
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        assert scope["type"] == "http", "the listener serves nothing else"
        called = paths.HOT.get(scope["path"])
        if called is None:
            called = paths.of(scope["path"])
            scope["path"] = called.path
        if self._origins is not None:
            send = _with_headers(send, self._origins.answers(scope["headers"]))
        exchange = Exchange(
            scope,
            receive,
            send,
            face=called.face or called.spoken or _spoken(scope),
            trace_id=self._ids.uuid7(),
            told=called.told_by(scope["headers"]) if called.has_headers else called.told,
        )
        try:
            if request_headers.credential_in_query(scope["query_string"]):
                await self._pipeline.keep_pace(exchange)
                await _refuse(exchange, public_errors.own("KEY_IN_QUERY"))
            elif called.response_id and scope["method"] != "OPTIONS":
                await self._stored.serve(exchange, called)
            elif called.face is None or scope["method"] != "POST":
                await self._serve_other(exchange, called, receive, send)
            elif called.counts:
                await self._counts.serve(exchange)
            else:
                await self._pipeline.serve(exchange)
        except Exception as error:  # noqa: BLE001 - the last line of defence of the listener
            self._log.exception("http.bug", error, trace_id=exchange.trace_id)
            if not exchange.started:
                await _refuse(exchange, public_errors.own("INTERNAL"))
        await exchange.linger()

    async def _serve_other(
        self, exchange: Exchange, called: Called, receive: Receive, send: Send
    ) -> None:
        """Everything but a call."""
        await self._pipeline.keep_pace(exchange)
        scope = exchange.scope
        if cross_origin.is_preflight(scope["method"], scope["headers"]):
            await self._answer_preflight(exchange)
        elif called.face is None:
            scope[EXCHANGE] = exchange
            await self._others(scope, receive, send)
        else:
            grant = await self._pipeline.identify(exchange)
            wrong = public_errors.method_not_allowed("POST")
            await _refuse(exchange, grant if isinstance(grant, Refusal) else wrong)

    async def _answer_preflight(self, exchange: Exchange) -> None:
        """A browser asks, without a key and the same for every path: nothing is told of one."""
        if self._origins is None:
            await _refuse(exchange, public_errors.own("CROSS_ORIGIN_OFF"))
            return
        headers = self._origins.preflight(exchange.scope["headers"])
        if headers is None:
            await _refuse(exchange, public_errors.own("ORIGIN_NOT_ALLOWED"))
            return
        if not exchange.connection.whole:
            # A body that was announced is not read: what comes next may be it.
            headers = [*headers, answer_headers.CLOSE]
        await exchange.begin(204, [*answer_headers.build(exchange.facts()), *headers])
        await exchange.end(b"")


def _with_headers(send: Send, extra: Headers) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sending


def _spoken(scope: Scope) -> Face:
    """The protocol that a client of a shared route speaks."""
    told = (_TOLD_BY[name] for name, _ in scope["headers"] if name in _TOLD_BY)
    return next(told, paths.FACES[0])


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    await exchange.refuse(refusal, exchange.facts())
