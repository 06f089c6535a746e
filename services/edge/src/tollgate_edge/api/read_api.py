"""The routes without a model call: models, receipts, health. FastAPI, off the hot path.

Promises: a key sees its own models and its tenant's receipts; another tenant's is not found. The
tenant comes from the key, never from the request.
"""

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from tollgate.audit.v1 import audit_pb2
from tollgate_edge.api import receipt
from tollgate_edge.api.catalogue import Catalogue
from tollgate_edge.api.exchange import Exchange, refusal_headers
from tollgate_edge.api.faces import anthropic_api, gemini_api, openai_api
from tollgate_edge.api.pipeline import Pipeline
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import answer_headers
from tollgate_edge.headers.answer_headers import Headers
from tollgate_edge.identity.identity import KeyGrant
from tollgate_kit.rpc import client as rpc_client
from tollgate_kit.rpc.failure import Failure

# Where asgi.py puts the exchange of a request.
EXCHANGE = "tollgate.exchange"
_NOT_FOUND = 404
# Under it every route needs a key.
_KEYED = "/v1/"
# What a stranger may know: the documented paths, and nothing of what runs here.
_PATHS = [
    openai_api.FACE.path,
    openai_api.RESPONSES_FACE.path,
    *(face.path for face in openai_api.OTHER_FACES),
    anthropic_api.FACE.path,
    f"{anthropic_api.FACE.path}/count_tokens",
    f"{openai_api.RESPONSES_FACE.path}/input_tokens",
    gemini_api.FACE.path,
    "/v1/models",
    "/v1/receipts/{trace_id}",
]


class ReadApi:
    """Handlers; `app` is the FastAPI application that routes to them."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        catalogue: Catalogue,
        get_call: Any,
        audit_timeout_s: float,
        ready: Callable[[], bool],
    ) -> None:
        self._pipeline = pipeline
        self._catalogue = catalogue
        self._get_call = get_call
        self._audit_timeout_s = audit_timeout_s
        self._ready = ready
        # No docs and no schema route: the public listener shows nothing of itself.
        # No redirect either: it would lose a body and show a Host that a client made up.
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
        for path, handler in (
            ("/", self.root),
            ("/v1/models", self.models),
            ("/v1/models/{model:path}", self.model),
            ("/v1/receipts/{trace_id}", self.receipt),
            ("/health/live", self.live),
            ("/health/ready", self.ready),
        ):
            self.app.add_api_route(path, handler, methods=["GET", "HEAD"])
        self.app.add_exception_handler(HTTPException, self.no_route)

    async def models(self, request: Request) -> Response:
        """GET /v1/models: what this key can call, as its client's protocol shows it."""
        exchange = _exchange(request)
        grant = await self._reader(exchange)
        if isinstance(grant, Refusal):
            return _refused(exchange, grant)
        entries = self._catalogue.entries(grant.allowed_models)
        return _answered(exchange, 200, exchange.face.models(entries))

    async def model(self, request: Request, model: str) -> Response:
        """GET /v1/models/{id}, an id with slashes included: exactly what the list shows of it."""
        exchange = _exchange(request)
        grant = await self._reader(exchange)
        if isinstance(grant, Refusal):
            return _refused(exchange, grant)
        entry = self._catalogue.find(model)
        if entry is None or not grant.allows(model):
            return _refused(exchange, public_errors.own("MODEL_UNKNOWN"))
        return _answered(exchange, 200, exchange.face.model(entry))

    async def _reader(self, exchange: Exchange) -> KeyGrant | Refusal:
        """Who asks what there is, once there is a catalogue."""
        grant = await self._pipeline.identify(exchange)
        if isinstance(grant, Refusal) or self._catalogue.loaded:
            return grant
        return public_errors.own("CATALOGUE_EMPTY")

    async def receipt(self, request: Request, trace_id: str) -> Response:
        """GET /v1/receipts/{trace_id}."""
        exchange = _exchange(request)
        grant = await self._pipeline.identify(exchange)
        if isinstance(grant, Refusal):
            return _refused(exchange, grant)
        if not receipt.TRACE_ID.fullmatch(trace_id):
            return _refused(exchange, public_errors.own("RECEIPT_NOT_FOUND"))
        try:
            answer = await rpc_client.call(
                self._get_call,
                audit_pb2.GetCallRequest(tenant_id=grant.tenant_id, trace_id=trace_id),
                self._audit_timeout_s,
            )
        except Failure:
            return _refused(exchange, public_errors.own("AUDIT_UNREACHABLE"))
        entries = [(entry.index, orjson.loads(entry.leaf)) for entry in answer.entries]
        found = receipt.build(trace_id, entries)
        if found is None:
            return _refused(exchange, public_errors.own("RECEIPT_NOT_FOUND"))
        return _answered(exchange, 200, found)

    async def root(self, request: Request) -> Response:
        """/: people look what this is, and some clients whether anybody is there."""
        return _answered(_exchange(request), 200, {"service": "AI API gateway", "paths": _PATHS})

    async def live(self, request: Request) -> Response:
        """GET /health/live: the process runs."""
        return _answered(_exchange(request), 200, {"status": "live"})

    async def ready(self, request: Request) -> Response:
        """GET /health/ready: calls can be served."""
        ready = self._ready()
        status, word = (200, "ready") if ready else (503, "not_ready")
        return _answered(_exchange(request), status, {"status": word})

    async def no_route(self, request: Request, error: Exception) -> Response:
        """Unknown path or wrong method; of a route that needs a key nothing is told without one."""
        assert isinstance(error, HTTPException)
        exchange = _exchange(request)
        if error.status_code == _NOT_FOUND:
            return _refused(exchange, public_errors.own("NOT_A_ROUTE"))
        if request.scope["path"].startswith(_KEYED):
            grant = await self._pipeline.identify(exchange)
            if isinstance(grant, Refusal):
                return _refused(exchange, grant)
        # Of a set: in an order of its own.
        allow = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        return _refused(exchange, public_errors.method_not_allowed(allow))


def _exchange(request: Request) -> Exchange:
    exchange: Exchange = request.scope[EXCHANGE]
    return exchange


def _answered(exchange: Exchange, status: int, document: Any) -> Response:
    headers = answer_headers.build(exchange.facts())
    headers.append(answer_headers.JSON)
    return _response(exchange, status, headers, orjson.dumps(document))


def _refused(exchange: Exchange, refusal: Refusal) -> Response:
    headers = refusal_headers(refusal, exchange.facts())
    return _response(exchange, refusal.status, headers, exchange.error_body(refusal))


def _response(exchange: Exchange, status: int, headers: Headers, body: bytes) -> Response:
    response = Response(body, status)
    if not exchange.connection.whole and answer_headers.CLOSE not in headers:
        # A body that was announced is not read: what comes next may be it, or another request.
        headers.append(answer_headers.CLOSE)
    response.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]
    return response
