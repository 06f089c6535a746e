"""About how many input tokens a call would have, for clients that ask before they make one.

Promises: free of charge, so not refused for money either; nothing leaves this process, nothing is
called. Who asks has the pace of requests that are no calls, and its share of bytes and bodies.
"""

import orjson

from tollgate_dialects.request import request as requests
from tollgate_edge.api.admission import Admission
from tollgate_edge.api.catalogue import Catalogue
from tollgate_edge.api.exchange import Exchange
from tollgate_edge.api.pipeline import Pipeline
from tollgate_edge.api.request_reader import ReaderLost, RequestReader
from tollgate_edge.errors import public_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.headers import answer_headers
from tollgate_edge.limits.fair_shares import Held


class CountApi:
    """Counts the tokens of bodies."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        admission: Admission,
        reader: RequestReader,
        catalogue: Catalogue,
    ) -> None:
        self._pipeline = pipeline
        self._admission = admission
        self._reader = reader
        self._catalogue = catalogue

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request."""
        counted = await self._count(exchange)
        if isinstance(counted, Refusal):
            await exchange.refuse(counted, exchange.facts())
            return
        headers = answer_headers.build(exchange.facts())
        headers.append(answer_headers.JSON)
        told = orjson.dumps(exchange.face.counted(counted))
        await exchange.answer(200, headers, told)

    async def _count(self, exchange: Exchange) -> int | Refusal:
        if self._pipeline.stopping:
            return public_errors.own("STOPPING")
        grant = await self._pipeline.identify(exchange)
        if isinstance(grant, Refusal):
            await self._pipeline.keep_pace(exchange)
            return grant
        await self._pipeline.keep_pace(exchange, grant)
        with Held(grant.holders) as held:
            body = await self._admission.body(exchange, grant, held, free=True)
            if isinstance(body, Refusal):
                return body
            try:
                counted = await self._reader.count(body, exchange.face.protocol, exchange.told)
            except ReaderLost:
                return public_errors.own("READER_LOST")
            except requests.BadRequest as bad:
                return public_errors.bad_request(bad)
            model = self._catalogue.callable_by(grant, counted.model)
            return model if isinstance(model, Refusal) else counted.input_tokens
