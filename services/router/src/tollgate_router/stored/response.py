"""What is known of a response that an upstream keeps, and who may go on from it.

Promises that nothing tells a response of another tenant, or of a model that the key may not call,
from one that never was. Pure.
"""

import enum
from collections.abc import Collection
from typing import NamedTuple

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.request.server_tools import UNTOLD_TOKENS
from tollgate_router.call import Account
from tollgate_router.providers.catalogue import Snapshot

# As long as OpenAI keeps them.
KEPT_MS = 30 * 24 * 3_600_000


class StoredResponse(NamedTuple):
    """One response; nothing of what it says."""

    response_id: str
    tenant_id: str
    # The client's key.
    key_id: str
    provider: str
    provider_key_id: str
    upstream_model: str
    # As clients call it.
    model: str
    # The most that the next turn may read of it, with all before it. 0: not known.
    context_tokens: int
    create_unix_ms: int

    @property
    def account(self) -> Account:
        """Who keeps it."""
        return Account(self.provider, self.provider_key_id)


class Denial(enum.Enum):
    """Why a stored response is of no use to who asks."""

    NOT_FOUND = "not_found"
    KEY_GONE = "key_gone"
    MODEL_ELSEWHERE = "model_elsewhere"


class GoesOn(NamedTuple):
    """What a call must keep to that goes on from a response."""

    account: Account
    # What it reads beside its own input, at most; 0: not known.
    context_tokens: int


def kept_tokens(asked: RequestFacts, reported: Usage) -> int:
    """The most tokens that the next turn may read of a conversation with this answer; 0: unknown.

    What was reported is what was read. More is kept: what was thought in earlier turns may be left
    out of one and read by the next.
    """
    if asked.unbounded_input or asked.may_leave_out:
        return 0
    read, kept = reported.total_input_tokens, asked.context_tokens + asked.kept_token_bound
    # What the vendor's own tools brought is known by what was read alone.
    most = max(read, kept) if asked.server_tools.readings == 1 else read + kept
    return min(most + reported[Unit.OUTPUT], UNTOLD_TOKENS)


def visible(
    found: StoredResponse | None, allowed_models: Collection[str], catalogue: Snapshot
) -> StoredResponse | Denial:
    """The response, for a key that may call these models; none named: every one."""
    if found is None or (allowed_models and found.model not in allowed_models):
        return Denial.NOT_FOUND
    return found if found.account in catalogue.ways else Denial.KEY_GONE


def continued(found: StoredResponse, model: str, catalogue: Snapshot) -> GoesOn | Denial:
    """What a call to a model keeps to that goes on from a response which is visible.

    Another model of the same account may: it counts the same words and pictures in its own way, up
    to 33 times as many tokens for a picture, so what it will read is not known.
    """
    ways = catalogue.candidates(Protocol.OPENAI_RESPONSES, model, translated=False)
    names = [way.upstream_model for way in ways if (way.provider, way.key_id) == found.account]
    if not names:
        return Denial.MODEL_ELSEWHERE
    is_same = names[0] == found.upstream_model
    return GoesOn(found.account, found.context_tokens if is_same else 0)
