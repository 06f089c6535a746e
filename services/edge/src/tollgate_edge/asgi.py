"""The ASGI application: the two hot routes at once, everything else through FastAPI.

Promises: a hot call costs no routing table, no middleware and no request object; no exception
leaves here, so that nothing of one is shown or logged by the server.
"""

from typing import Any

from tollgate_edge import anthropic_api, openai_api, public_errors, request_headers
from tollgate_edge.answer_headers import Facts
from tollgate_edge.exchange import Exchange, Receive, Scope, Send
from tollgate_edge.face import Face
from tollgate_edge.pipeline import Pipeline
from tollgate_edge.public_errors import Refusal
from tollgate_edge.read_api import EXCHANGE
from tollgate_kit.ids import Ids
from tollgate_kit.logs import Log

HOT = {face.path: face for face in (openai_api.FACE, anthropic_api.FACE)}


class EdgeApp:
    """Dispatches a request."""

    def __init__(self, pipeline: Pipeline, others: Any, *, ids: Ids, log: Log) -> None:
        self._pipeline = pipeline
        self._others = others
        self._ids = ids
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        assert scope["type"] == "http", "the listener serves nothing else"
        face = HOT.get(scope["path"])
        exchange = Exchange(
            scope, receive, send, face=face or _spoken(scope), trace_id=self._ids.uuid7()
        )
        try:
            if request_headers.credential_in_query(scope["query_string"]):
                await _refuse(exchange, public_errors.own("KEY_IN_QUERY"))
            elif face is None:
                scope[EXCHANGE] = exchange
                await self._others(scope, receive, send)
            elif scope["method"] == "POST":
                await self._pipeline.serve(exchange)
            else:
                await _refuse(exchange, public_errors.method_not_allowed("POST"))
        except Exception as error:  # noqa: BLE001 - the last line of defence of the listener
            self._log.exception("http.bug", error, trace_id=exchange.trace_id)
            if not exchange.started:
                await _refuse(exchange, public_errors.own("INTERNAL"))
        await exchange.linger()


def _spoken(scope: Scope) -> Face:
    """The protocol that a client of a shared route speaks."""
    anthropic = any(name == b"anthropic-version" for name, _ in scope["headers"])
    return anthropic_api.FACE if anthropic else openai_api.FACE


async def _refuse(exchange: Exchange, refusal: Refusal) -> None:
    await exchange.refuse(
        refusal, Facts(trace_id=exchange.trace_id, request_id=exchange.request_id)
    )
