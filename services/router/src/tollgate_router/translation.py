"""A call whose upstream speaks another protocol than its client.

Owns when a call is translated, and what its translation is made of. Promises: an upstream of the
client's own protocol gets the client's bytes, less what must not be sent; a request is read once,
however many upstreams are tried; what a protocol cannot carry refuses the call at that upstream, or
is named to the client.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from tollgate_dialects.answer.renaming import Renaming
from tollgate_dialects.common import documents
from tollgate_dialects.conversation.machine import IllegalEventError
from tollgate_dialects.conversation.request import Request
from tollgate_dialects.conversation.stream import StreamTranslator
from tollgate_dialects.conversation.tools import restored_answer
from tollgate_dialects.conversation.translation import Context, Target, Untranslatable
from tollgate_dialects.dialect import UpstreamDialect
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.request import rewrite
from tollgate_dialects.request.server_tools import NO_SERVER_TOOLS
from tollgate_router.call import UpstreamCall
from tollgate_router.charge import NOTHING_ASKED, Asked, estimated_input_tokens
from tollgate_router.providers import endpoint
from tollgate_router.providers.catalogue import Candidate


def renaming(
    call: UpstreamCall, candidate: Candidate, upstream: UpstreamDialect
) -> Renaming | None:
    """What puts the client's name of the model into an answer that is passed on as it came.

    None where the upstream knows the model under that name: it may answer with a closer one.
    """
    if candidate.upstream_model == call.model:
        return None
    return Renaming(upstream.answer.model_at, call.model)


class UpstreamBody(NamedTuple):
    """What is sent, what of the client's request is not in it, and the headers that go with it."""

    data: bytes
    dropped: frozenset[str]
    headers: Mapping[str, str] = MappingProxyType({})


def is_needed(call: UpstreamCall, upstream: UpstreamDialect) -> bool:
    """Whether this upstream speaks another protocol, or must not see the request as it is."""
    return not _is_spoken(call, upstream) or call.asked.is_written_anew


def _is_spoken(call: UpstreamCall, upstream: UpstreamDialect) -> bool:
    """Whether the client's own words are this upstream's as well."""
    return upstream.words is call.dialect.protocol


def asked_of(call: UpstreamCall, upstream: UpstreamDialect) -> Asked:
    """What this upstream was asked for; no other than the protocol's own is told of it."""
    asked = call.asked
    if upstream is not call.dialect or asked.is_written_anew:
        # It does not read what the client wrote as the protocol's own vendor would.
        return NOTHING_ASKED
    containers = asked.server_tools.containers
    if not (asked.variants or containers):
        return NOTHING_ASKED
    return Asked(asked.variants, containers)


def upstream_body(
    call: UpstreamCall, candidate: Candidate, upstream: UpstreamDialect
) -> UpstreamBody:
    """The request in an upstream's protocol. Raises Untranslatable, BadRequest."""
    asked, is_spoken = call.asked, _is_spoken(call, upstream)
    needs_words = not is_spoken or asked.is_written_anew
    runs_tools = upstream.runs_server_tools and not needs_words
    if asked.server_tools.are_required and not runs_tools:
        raise Untranslatable("tools", "Only the vendor of these tools can run them.")
    if (upstream is not call.dialect or needs_words) and (member := asked.own_alone):
        raise Untranslatable(member, "Only upstreams of this very protocol can be asked for this.")
    body = _translated(call, candidate, upstream) if needs_words else _own_body(call, candidate)
    passes_headers = is_spoken and call.protocol_headers
    if not passes_headers and upstream.endpoint.envelope is None:
        return body
    passed: Mapping[str, str] = {}
    if passes_headers:
        passed = call.dialect.endpoint.passed_on(call.protocol_headers).kept
    sent = endpoint.enveloped(upstream.endpoint, body.data, passed, candidate.upstream_model)
    return UpstreamBody(sent.body, body.dropped | sent.dropped, sent.headers)


def _translated(
    call: UpstreamCall, candidate: Candidate, upstream: UpstreamDialect
) -> UpstreamBody:
    target = Target(
        candidate.upstream_model, call.max_output_tokens, candidate.without_include_usage
    )
    try:
        written = upstream.translation.write_request(_conversation(call), target)
        return UpstreamBody(documents.written(written.document), written.dropped)
    except (TypeError, ValueError, KeyError):  # what cannot be read or written as JSON
        raise Untranslatable("messages", "The request cannot be told in this protocol.") from None


def _own_body(call: UpstreamCall, candidate: Candidate) -> UpstreamBody:
    """The client's bytes with the upstream's model and limit, and without what it must not see."""
    rules = call.dialect.request
    body, dropped = call.body, frozenset[str]()
    if call.asked.sheds:
        document = documents.exact(body)
        keeps_tools = call.asked.server_tools != NO_SERVER_TOOLS
        shed = rules.shed(document, candidate.upstream_model, keeps_tools, candidate.address.path)
        if shed.document is not document:
            body, dropped = documents.written(shed.document), shed.dropped
    data = rewrite.upstream_body(
        body,
        rules,
        asked=call.asked,
        model=candidate.upstream_model,
        max_output_tokens=call.max_output_tokens,
        without_include_usage=candidate.without_include_usage,
    )
    return UpstreamBody(data, dropped)


def stream_translator(call: UpstreamCall, upstream: UpstreamDialect) -> StreamTranslator:
    """What tells an upstream's stream to the client."""
    return StreamTranslator(
        upstream.translation.event_reader(),
        call.dialect.translation.event_writer(_context(call)),
        _conversation(call).tools,
    )


def answer(call: UpstreamCall, upstream: UpstreamDialect, body: bytes, usage: Usage) -> bytes:
    """A metered answer as the client's protocol has it. Raises IllegalEventError."""
    try:
        found = upstream.translation.read_answer(documents.read(body))
        restored = restored_answer(found, _conversation(call).tools)
        written = call.dialect.translation.write_answer(restored, usage, _context(call))
        return documents.written(written)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IllegalEventError from None


def _conversation(call: UpstreamCall) -> Request:
    if call.conversation is None:
        read = call.dialect.translation.read_request(documents.exact(call.body))
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
