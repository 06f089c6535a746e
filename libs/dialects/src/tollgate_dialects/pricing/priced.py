"""A request at a model's price: what has none is left out, or refuses the request by its name.

So is what somebody's money does not suffice for, if the request can do without.
"""

from tollgate_dialects.common.refusal import BadRequest, elsewhere, unpriced
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS, ServerTools


def _at_its_factors(facts: RequestFacts, price: Price, *, is_spoken: bool) -> RequestFacts:
    """Another way of serving is its own vendor's; elsewhere it is left out, where it may be."""
    for variant in facts.variants:
        if is_spoken and not price.factor(variant):
            raise unpriced(variant.title, f"{variant.option} FACTOR", variant.member)
    return facts if is_spoken else facts._replace(variants=())


def at_price(facts: RequestFacts, price: Price, *, is_spoken: bool) -> RequestFacts:
    """The request as it can be made.

    `is_spoken`: somebody serves the model on the client's own protocol; nobody else is asked to
    run the tools of its vendor. Raises BadRequest where the request cannot do without them.
    """
    if not is_spoken and (member := facts.own_alone):
        raise elsewhere(member)
    if facts.audio_tokens and not price.has(Unit.AUDIO_INPUT):
        raise unpriced("Audio input", "--audio-input DOLLARS", "messages")
    if facts.speaks and not price.has(Unit.AUDIO_OUTPUT):
        raise unpriced("Audio output", "--audio-output DOLLARS", "modalities")
    if facts.variants:
        facts = _at_its_factors(facts, price, is_spoken=is_spoken)
    tools = facts.server_tools
    if tools is NO_SERVER_TOOLS or tools == NO_SERVER_TOOLS:
        return facts
    # What is written anew has no tools of the vendor's.
    is_sent = is_spoken and not facts.is_written_anew
    lacking = _lacking(tools, price)
    if is_sent and lacking is None:
        return facts
    if tools.are_required:
        raise lacking if is_sent and lacking else elsewhere("tools")
    return _without_tools(facts) if is_sent else facts._replace(server_tools=NO_SERVER_TOOLS)


def _lacking(tools: ServerTools, price: Price) -> BadRequest | None:
    """What says which of a request's tools has no price; None: each has one."""
    if tools.searches and not price.has(Unit.WEB_SEARCH):
        return unpriced("Web search", "--web-search DOLLARS", "tools")
    if tools.containers and not price.has(Unit.CONTAINER):
        return unpriced("A container to run code in", "--container DOLLARS", "tools")
    return None


def without_searches(facts: RequestFacts) -> RequestFacts:
    """The request without searches that it can do without, as where they have no price."""
    tools = facts.server_tools
    return facts if tools.are_required or not tools.searches else _without_tools(facts)


def _without_tools(facts: RequestFacts) -> RequestFacts:
    return facts._replace(server_tools=NO_SERVER_TOOLS, sheds=True)
