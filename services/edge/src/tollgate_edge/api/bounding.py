"""How much a call may cost at most, as closely as it is worth to know.

Owns what of a request and a key decides that, beside the price. Promises: a count of tokens is made
only where it can set money free, and never raises what the bytes say; the limit of a client is left
as it is; who names none gets one that the key's rates allow and, where money is short, one that
leaves as much for another call; searches that a request can do without are left out before.
"""

import contextlib
import dataclasses

from tollgate_dialects.pricing import bound as bounds
from tollgate_dialects.pricing.priced import at_price, without_searches
from tollgate_dialects.request.rules import RequestFacts
from tollgate_dialects.upstreams import at_upstreams
from tollgate_edge.api.call.call import Call
from tollgate_edge.api.catalogue import Model
from tollgate_edge.api.request_reader import ReaderLost, RequestReader
from tollgate_edge.errors.public_errors import Refusal
from tollgate_edge.identity.identity import KeyGrant


async def request_for(call: Call, model: Model, reader: RequestReader) -> RequestFacts:
    """The facts of a call's request where this model's providers read it, at its price.

    Raises BadRequest where the request cannot do without what has no price or no bound.
    """
    assert call.request is not None
    dialect = call.exchange.face.dialect
    protocol, spoken = dialect.protocol, dialect.provider
    asked = at_price(call.request, model.price, is_spoken=model.speaks(spoken))
    asked = at_upstreams(asked, dialect, model.upstreams)
    if model.calibration and bounds.is_worth_counting(asked, model.price):
        with contextlib.suppress(ReaderLost):  # its bytes bound it as well
            close = await reader.close_bound(call.body, protocol, model.calibration)
            asked = close.of(asked)
    if asked.is_written_anew or not model.speaks_only(spoken):
        asked = asked.translated()
    return asked


def cap_of_rates(grant: KeyGrant, request: RequestFacts, model: Model) -> int | None:
    """The output limit that fits every token rate of the key, for a call that sets none."""
    bursts = [rate.burst for rate in grant.rates if rate.counts_tokens]
    if not bursts or request.max_output_tokens is not None:
        return None
    left = min(bursts) - bounds.input_tokens(request, model.price)
    return max(1, left // request.choices)


def leave_out(refusal: Refusal, call: Call) -> bool:
    """Leave searches out of a call that there is no money for; whether it can be tried again."""
    assert call.request is not None
    if refusal.shortfall is None:
        return False
    less = without_searches(call.request)
    call.without_searches = less is not call.request
    call.request = less
    return call.without_searches


def cap_of_money(
    refusal: Refusal, request: RequestFacts, model: Model, cap: int | None
) -> int | None:
    """The output limit with which a refused call can be tried again; None: it cannot."""
    if refusal.shortfall is None or request.max_output_tokens is not None:
        return None
    left = bounds.modest_output_tokens(request, model.price, refusal.shortfall.remaining_nano_usd)
    return left if left is None or cap is None else min(left, cap)


def with_what_fits(refusal: Refusal, request: RequestFacts, model: Model) -> Refusal:
    """Out of money: say how many output tokens would still be paid for.

    Of a call with searches, by what they are limited: they are the most of it.
    """
    short, tools = refusal.shortfall, request.server_tools
    if short is None:
        return refusal
    fits = bounds.affordable_output_tokens(request, model.price, short.remaining_nano_usd)
    if tools.searches:
        short = dataclasses.replace(short, searches=tools.searches, limited_by=tools.limited_by)
    param = tools.limited_by if tools.searches else "max_tokens" if fits else None
    return dataclasses.replace(refusal, affordable_max_tokens=fits, shortfall=short, param=param)
