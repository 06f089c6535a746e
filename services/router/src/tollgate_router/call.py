"""One call on its way to an upstream, and how far it came."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tollgate_dialects.conversation.request import Request
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.request.rules import RequestFacts
from tollgate_router.providers.catalogue import Candidate


class Account(NamedTuple):
    """The one provider and key that may be asked, for what that account keeps."""

    provider: str
    key_id: str


@dataclass(slots=True, eq=False)
class UpstreamCall:
    """What was asked and admitted; each attempt adds to it."""

    trace_id: str
    reservation_id: str
    # The client's.
    dialect: Dialect
    model: str
    # What the body says.
    asked: RequestFacts
    # What is sent upstream; None: no limit.
    max_output_tokens: int | None
    price: Price
    reserved_nano_usd: int
    # Whether what was reserved covers an upstream of another protocol as well.
    may_be_translated: bool
    body: bytes
    protocol_headers: Mapping[str, str]
    # On the monotonic clock, and in seconds of Unix time.
    began: float
    created_s: int
    # The client's, as the edge names them.
    tenant_id: str = ""
    client_key_id: str = ""
    # Of the response that it goes on from; None: whoever serves the model.
    account: Account | None = None
    attempts: int = 0
    # Of the last attempt: who was asked, and what of the request was left out.
    candidate: Candidate | None = None
    dropped: frozenset[str] = frozenset()
    # The request in the one form, once some upstream needed it.
    conversation: Request | None = None
