"""A call whose upstream speaks another protocol than its client.

Owns when a call is translated, and what its translation is made of. Promises: an upstream of the
client's own protocol gets the client's bytes; a request is read once, however many upstreams are
tried; what a protocol cannot carry refuses the call at that upstream, or is named to the client.
"""

from dataclasses import replace
from typing import NamedTuple

import orjson

from tollgate_dialects.answer.renaming import Renaming
from tollgate_dialects.conversation.machine import IllegalEventError
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.tools import restored_answer
from tollgate_dialects.conversation.translation import Context, Target, Untranslatable
from tollgate_dialects.dialect import Dialect
from tollgate_dialects.pricing.usage import Usage
from tollgate_router.call import UpstreamCall
from tollgate_router.charge import estimated_input_tokens
from tollgate_router.providers.catalogue import Candidate


def renaming(call: UpstreamCall, candidate: Candidate, upstream: Dialect) -> Renaming | None:
    """What puts the client's name of the model into an answer that is passed on as it came.

    None where the upstream knows the model under that name: it may answer with a closer one.
    """
    if candidate.upstream_model == call.model:
        return None
    return Renaming(upstream.answer.model_at, call.model)


class UpstreamBody(NamedTuple):
    """What is sent, and what of the client's request is not in it."""

    data: bytes
    dropped: frozenset[str]


def is_needed(call: UpstreamCall, upstream: Dialect) -> bool:
    """Whether the client's bytes are not what this upstream is sent.

    Nor are they where tools have to be left out that run at the vendor and have no price.
    """
    return upstream is not call.dialect or call.asked.sheds_tools


def upstream_body(call: UpstreamCall, candidate: Candidate, upstream: Dialect) -> UpstreamBody:
    """The request in an upstream's protocol. Raises Untranslatable, BadRequest."""
    if call.asked.server_tools.are_required:
        raise Untranslatable("tools", "Only the vendor of these tools can run them.")
    target = Target(
        candidate.upstream_model, call.max_output_tokens, candidate.without_include_usage
    )
    try:
        written = upstream.translation.write_request(_conversation(call), target)
        return UpstreamBody(orjson.dumps(written.document), written.dropped)
    except (TypeError, ValueError, KeyError):  # what cannot be read or written as JSON
        raise Untranslatable("messages", "The request cannot be told in this protocol.") from None


def stream_translator(call: UpstreamCall, upstream: Dialect) -> StreamTranslator:
    """What tells an upstream's stream to the client."""
    return StreamTranslator(
        upstream.translation.event_reader(),
        call.dialect.translation.event_writer(_context(call)),
        _conversation(call).tools,
    )


def answer(call: UpstreamCall, upstream: Dialect, body: bytes, usage: Usage) -> bytes:
    """A metered answer as the client's protocol has it. Raises IllegalEventError."""
    try:
        found = upstream.translation.read_answer(orjson.loads(body))
        restored = restored_answer(found, _conversation(call).tools)
        written = call.dialect.translation.write_answer(restored, usage, _context(call))
        return orjson.dumps(written)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IllegalEventError from None


def _conversation(call: UpstreamCall) -> Request:
    if call.conversation is None:
        read = call.dialect.translation.read_request(orjson.loads(call.body))
        # Some protocols say them outside of the body.
        call.conversation = replace(read, model=call.model, stream=call.asked.stream)
    return call.conversation


def _context(call: UpstreamCall) -> Context:
    return Context(
        request=_conversation(call),
        trace=call.trace_id.replace("-", ""),
        created_s=call.created_s,
        estimated_input_tokens=estimated_input_tokens(call.body),
    )
