"""What router knows of responses that upstreams keep, asked for the key that calls.

Promises: a response of another tenant, or of a model that the key may not call, is told from none
by nothing: router looks for all alike, and the words are the same.
"""

from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import Message

from tollgate.router.v1 import router_pb2
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.openai_responses import ids
from tollgate_dialects.request.rules import RequestFacts
from tollgate_edge.api.call.execution import upstream_refusal
from tollgate_edge.api.catalogue import Model
from tollgate_edge.api.faces import openai_api
from tollgate_edge.errors import public_errors, response_errors
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.identity.identity import KeyGrant
from tollgate_kit.rpc.failure import Failure
from tollgate_kit.rpc.session_client import SessionPool

FIND_SECONDS = 5.0
# Above router's own limit.
ASK_SECONDS = 40.0
_PROTOCOL = openai_api.RESPONSES_FACE.protocol
T = TypeVar("T", bound=Message)


class Asked(NamedTuple):
    """A request about a response: by its id, the word for it, and the query as it goes on."""

    response_id: str
    action: str
    query: str


class StoredResponses:
    """Router's two RPCs about them."""

    def __init__(self, router: SessionPool) -> None:
        self._router = router

    async def going_on(
        self, request: RequestFacts, grant: KeyGrant, model: Model
    ) -> RequestFacts | Refusal:
        """The facts of a request with what it goes on from. Raises BadRequest."""
        previous_id = request.previous_id
        if not previous_id:
            return request
        if not model.speaks(_PROTOCOL):
            raise ids.previous_unreachable("No provider of this model keeps responses.")
        found = await self._unary(
            "FindStored",
            router_pb2.FindStoredRequest(
                tenant_id=grant.tenant_id,
                response_id=previous_id,
                allowed_models=grant.allowed_models,
                model=model.model,
            ),
            router_pb2.FindStoredResponse,
            FIND_SECONDS,
        )
        if isinstance(found, Refusal):
            return found
        if found.denial:
            raise _denied(found.denial, previous_id)
        return request.going_on(found.context_tokens)

    async def ask(self, grant: KeyGrant, asked: Asked, *, trace_id: str) -> bytes | Refusal:
        """What the upstream says about a response."""
        answer = await self._unary(
            "AskStored",
            router_pb2.AskStoredRequest(
                trace_id=trace_id,
                tenant_id=grant.tenant_id,
                key_id=grant.key_id,
                allowed_models=grant.allowed_models,
                response_id=asked.response_id,
                action=router_pb2.StoredAction.Value(f"STORED_ACTION_{asked.action.upper()}"),
                query=asked.query,
            ),
            router_pb2.AskStoredResponse,
            ASK_SECONDS,
        )
        if isinstance(answer, Refusal):
            return answer
        if answer.denial == router_pb2.STORED_DENIAL_NOT_FOUND:
            return response_errors.not_found(asked.response_id)
        if answer.denial:
            return response_errors.OUT_OF_REACH
        data: bytes = answer.data
        return upstream_refusal(answer.reason, answer.upstream_error) or data

    async def _unary(
        self, method: str, request: Any, response_type: type[T], timeout_s: float
    ) -> Any:
        try:
            return await self._router.unary(method, request, response_type, timeout_s=timeout_s)
        except Failure as failure:
            return public_errors.rpc_failure(failure.reason)


def _denied(denial: int, response_id: str) -> BadRequest:
    if denial == router_pb2.STORED_DENIAL_KEY_GONE:
        return ids.previous_unreachable(
            "The provider account that keeps the previous response is not in use here now."
        )
    if denial == router_pb2.STORED_DENIAL_MODEL_ELSEWHERE:
        return ids.previous_unreachable(
            "This model is not served by the provider account that keeps the previous response."
        )
    return ids.previous_not_found(response_id)
