"""A request at the upstreams that it may reach, told by their own names of its model.

Promises that what a model thinks beyond an answer's limit is known of whatever clients call it, and
on whatever protocol they ask; the dearest of several upstreams decides.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request.rules import RequestFacts, most


class Upstream(NamedTuple):
    """Who serves a model: the protocol whose words it takes, and its name of the model."""

    words: Protocol
    model: str


def at_upstreams(
    facts: RequestFacts, dialect: Dialect, upstreams: Sequence[Upstream]
) -> RequestFacts:
    """The facts of a client's request. Raises BadRequest for what cannot be bounded there.

    Where nobody reads it as it is, what was read of it by the client's name of the model stands.
    """
    rules, spoken = dialect.request, dialect.provider
    own: list[int | None] = []
    written: list[int | None] = []
    thinks_unlimited = False
    for words, model in upstreams:
        if words is spoken:
            own.append(rules.beyond_limit(facts.thinking, model))
        elif words in DIALECTS:
            theirs = DIALECTS[words].request
            written.append(theirs.written_beyond_limit(model))
            thinks_unlimited = thinks_unlimited or theirs.thinks_unlimited
    # For nearly every call nothing changes, and a copy costs more than all of the above.
    if own and (beyond := most(own)) != facts.beyond_limit_tokens:
        facts = facts._replace(beyond_limit_tokens=beyond)
    if written:
        facts = facts._replace(
            translated_beyond_tokens=most((facts.translated_beyond_tokens, *written)),
            thinks_unlimited=thinks_unlimited,
        )
    return facts
