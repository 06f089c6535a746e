"""The ASGI application: the hot routes at once, everything else through FastAPI.

Promises: a hot call costs no routing table, no middleware and no request object; a path with a
slash or a /v1 too many or too few, or under a vendor's own prefix, is that path, and nobody is ever
redirected; no exception leaves
here, so that nothing of one is shown or logged by the server.
"""

import re
from collections.abc import MutableMapping
from typing import Any

from tollgate_dialects.request.rules import IN_THE_BODY
from tollgate_edge.api import anthropic_api, openai_api
from tollgate_edge.api.count_api import CountApi
from tollgate_edge.api.exchange import Exchange, Receive, Scope, Send
from tollgate_edge.api.face import Face
from tollgate_edge.api.pipeline import Pipeline
from tollgate_edge.api.read_api import EXCHANGE
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import answer_headers, cross_origin, request_headers
from tollgate_edge.headers.answer_headers import Headers
from tollgate_edge.headers.cross_origin import CrossOrigin
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log

# The first is spoken by whoever says nothing of it.
FACES = (
    openai_api.FACE,
    anthropic_api.FACE,
    openai_api.RESPONSES_FACE,
    openai_api.DASHSCOPE_FACE,
)
HOT = {path: face for face in FACES for path in face.paths}
# Where clients ask about how much they would send.
COUNTED = {f"{face.path}/count_tokens": face for face in FACES if face.dialect.request.count}
_TOLD_BY = {told_by: face for face in FACES if (told_by := face.dialect.endpoint.told_by)}
# Base URLs are typed by people: with a slash at the end, with /v1 twice or not at all. And who came
# from another address of the same protocol changes the host alone: DashScope's two, Azure's v1.
_ALIAS = re.compile(
    r"/+(?:(?:(?:compatible-mode|apps/+anthropic|openai)/+)?(?:v1/+)*(?P<api>chat/+completions|responses|messages(?:/+count_tokens)?|models|receipts)"
    r"|(?:api/+)*(?:v1/+)*(?P<service>services/+aigc/+(?:text|multimodal)-generation/+generation)"
    r"|health/+(?P<probe>live|ready))(?P<rest>/.*)?",
    re.DOTALL,
)


class EdgeApp:
    """The ASGI application: gives each request to the pipeline, to FastAPI, or refuses it."""

    def __init__(
        self,
        pipeline: Pipeline,
        counts: CountApi,
        others: Any,
        *,
        origins: CrossOrigin,
        ids: Ids,
        log: Log,
    ) -> None:
        self._pipeline = pipeline
        self._counts = counts
        self._others = others
        self._origins = origins if origins.on else None
        self._ids = ids
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        assert scope["type"] == "http", "the listener serves nothing else"
        face = HOT.get(scope["path"])
        counted = None
        if face is None:
            scope["path"] = canonical(scope["path"])
            face = HOT.get(scope["path"])
            counted = COUNTED.get(scope["path"])
        if self._origins is not None:
            send = _with_headers(send, self._origins.answers(scope["headers"]))
        exchange = Exchange(
            scope,
            receive,
            send,
            face=face or counted or _spoken(scope),
            trace_id=self._ids.uuid7(),
            told=IN_THE_BODY if face is None else face.told(scope["headers"]),
        )
        try:
            if request_headers.credential_in_query(scope["query_string"]):
                await self._pipeline.keep_pace(exchange)
                await _refuse(exchange, public_errors.own("KEY_IN_QUERY"))
            elif face is not None and scope["method"] == "POST":
                await self._pipeline.serve(exchange)
            elif counted is not None and scope["method"] == "POST":
                await self._counts.serve(exchange)
            else:
                await self._serve_other(exchange, receive, send)
        except Exception as error:  # noqa: BLE001 - the last line of defence of the listener
            self._log.exception("http.bug", error, trace_id=exchange.trace_id)
            if not exchange.started:
                await _refuse(exchange, public_errors.own("INTERNAL"))
        await exchange.linger()

    async def _serve_other(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        """Everything but a call."""
        await self._pipeline.keep_pace(exchange)
        scope = exchange.scope
        if cross_origin.is_preflight(scope["method"], scope["headers"]):
            await self._answer_preflight(exchange)
        elif scope["path"] not in HOT and scope["path"] not in COUNTED:
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


def canonical(path: str) -> str:
    """The path that is meant, as the tables have it; what is near none of them stays as it is."""
    match = _ALIAS.fullmatch(path)
    if match is None:
        return path
    if match["service"]:
        place = f"/api/v1/{match['service']}"
    else:
        place = f"/health/{match['probe']}" if match["probe"] else f"/v1/{match['api']}"
    rest = (match["rest"] or "").strip("/")
    return re.sub("/+", "/", place) + (f"/{rest}" if rest else "")


def _with_headers(send: Send, extra: Headers) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sending


def _spoken(scope: Scope) -> Face:
    """The protocol that a client of a shared route speaks."""
    told = (_TOLD_BY[name] for name, _ in scope["headers"] if name in _TOLD_BY)
    return next(told, FACES[0])


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    await exchange.refuse(refusal, exchange.facts())
