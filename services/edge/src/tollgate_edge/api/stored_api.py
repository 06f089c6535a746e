"""Requests about responses that an upstream keeps: retrieve, delete, cancel, list what was sent.

Promises: free of charge, so not refused for money; who asks has the pace of requests that are no
calls, and its share of calls at once. What is asked is checked here and again by router.
"""

from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.openai_responses import ids, stored
from tollgate_edge.api.admission import Admission
from tollgate_edge.api.exchange import Exchange
from tollgate_edge.api.paths import Called
from tollgate_edge.api.pipeline import Pipeline
from tollgate_edge.api.stored_responses import Asked, StoredResponses
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import answer_headers
from tollgate_edge.limits.fair_shares import Held

# By what the path says and the method.
_ACTIONS = {
    ("response", "GET"): "retrieve",
    ("response", "HEAD"): "retrieve",
    ("response", "DELETE"): "delete",
    ("cancel", "POST"): "cancel",
    ("input_items", "GET"): "input_items",
    ("input_items", "HEAD"): "input_items",
}
_ALLOWED = {
    asked: ", ".join(sorted(method for about, method in _ACTIONS if about == asked))
    for asked, _ in _ACTIONS
}


class StoredApi:
    """Answers them."""

    def __init__(
        self, *, pipeline: Pipeline, admission: Admission, responses: StoredResponses
    ) -> None:
        self._pipeline = pipeline
        self._admission = admission
        self._responses = responses

    async def serve(self, exchange: Exchange, called: Called) -> None:
        """Answer one request."""
        answer = await self._answer(exchange, called)
        if isinstance(answer, Refusal):
            await exchange.refuse(answer, exchange.facts())
            return
        headers = answer_headers.build(exchange.facts())
        headers.append(answer_headers.JSON)
        await exchange.answer(200, headers, answer)

    async def _answer(self, exchange: Exchange, called: Called) -> bytes | Refusal:
        if self._pipeline.stopping:
            return public_errors.own("STOPPING")
        grant = await self._pipeline.identify(exchange)
        if isinstance(grant, Refusal):
            await self._pipeline.keep_pace(exchange)
            return grant
        await self._pipeline.keep_pace(exchange, grant)
        try:
            asked = _asked(exchange, called)
        except BadRequest as bad:
            return public_errors.bad_request(bad)
        if isinstance(asked, Refusal):
            return asked
        with Held(grant.holders) as held:
            body = await self._admission.body(exchange, grant, held, free=True)
            if isinstance(body, Refusal):
                return body
            return await self._responses.ask(grant, asked, trace_id=exchange.trace_id)


def _asked(exchange: Exchange, called: Called) -> Asked | Refusal:
    """What path, method and query ask. Raises BadRequest."""
    action = _ACTIONS.get((called.asked_of_it, exchange.scope["method"]))
    if action is None:
        return public_errors.method_not_allowed(_ALLOWED[called.asked_of_it])
    if not ids.is_id(called.response_id):
        raise ids.no_id("response_id")
    query = stored.ACTIONS[action].query(exchange.scope["query_string"].decode("latin-1"))
    return Asked(called.response_id, action, query)
