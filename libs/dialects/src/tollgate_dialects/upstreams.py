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
    own = [each.model for each in upstreams if each.words is spoken]
    others = [each for each in upstreams if each.words is not spoken and each.words in DIALECTS]
    written = [(DIALECTS[each.words].request, each.model) for each in others]
    if own:
        beyond = most(rules.beyond_limit(facts.thinking, model) for model in own)
        facts = facts._replace(beyond_limit_tokens=beyond)
    if written:
        beyond = most(their.written_beyond_limit(model) for their, model in written)
        facts = facts._replace(
            translated_beyond_tokens=most((facts.translated_beyond_tokens, beyond)),
            thinks_unlimited=any(their.thinks_unlimited for their, _ in written),
        )
    return facts
