"""The registry, and the promise that nobody else knows which dialects there are."""

import ast
from pathlib import Path

import pytest

import tollgate_dialects
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS, UPSTREAM_DIALECTS

ROOT = Path(tollgate_dialects.__file__).parent
FOLDERS = {
    "anthropic", "bedrock_converse", "claude_clouds", "dashscope", "gemini", "openai_chat", "openai_endpoints",
    "openai_responses",
}  # fmt: skip
ENGINES = [
    path
    for path in sorted(ROOT.rglob("*.py"))
    if path.parent.name not in FOLDERS and path.name not in ("registry.py", "protocol.py")
]


def test_every_protocol_has_its_dialect():
    """A protocol that a provider may name is answered for, under its own name."""
    assert {protocol: protocol for protocol in Protocol} == {
        protocol: dialect.protocol for protocol, dialect in UPSTREAM_DIALECTS.items()
    }


def test_what_clients_speak_upstreams_speak_as_well():
    """One record for both: a client's bytes go to upstreams of its own protocol as they are."""
    assert DIALECTS.items() <= UPSTREAM_DIALECTS.items()
    alone = {Protocol.BEDROCK_CONVERSE, Protocol.BEDROCK_INVOKE, Protocol.VERTEX_ANTHROPIC}
    assert alone == UPSTREAM_DIALECTS.keys() - DIALECTS.keys()


def test_a_clouds_envelope_holds_words_that_clients_speak():
    """What a client of that protocol sends and reads passes there as it is."""
    enveloped = {
        dialect.protocol: dialect.words
        for dialect in UPSTREAM_DIALECTS.values()
        if dialect.endpoint.envelope
    }
    messages = Protocol.ANTHROPIC_MESSAGES
    assert {Protocol.BEDROCK_INVOKE: messages, Protocol.VERTEX_ANTHROPIC: messages} == enveloped
    assert all(dialect.words is protocol for protocol, dialect in DIALECTS.items())


@pytest.mark.parametrize("path", ENGINES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_engine_asks_which_dialect_it_has(path):
    """Outside of a dialect's folder no code names a protocol: it takes what it is given."""
    names = {
        each.attr
        for each in ast.walk(ast.parse(path.read_text()))
        if isinstance(each, ast.Attribute)
    }
    assert not names & {protocol.name for protocol in Protocol}


@pytest.mark.parametrize(
    "dialect", UPSTREAM_DIALECTS.values(), ids=lambda dialect: dialect.protocol.value
)
def test_a_dialect_reads_the_end_that_it_writes(dialect):
    """What is supplied where an upstream left its last event out is itself a last event.

    Nothing is supplied where that event is the answer itself.
    """
    end = dialect.answer.end
    from tollgate_dialects.common import sse

    if end.frame:
        assert end.marker in end.frame
        assert 0 == sse.end_of(end.frame, end)
    unsupplied = (Protocol.OPENAI_RESPONSES, Protocol.GEMINI, Protocol.DASHSCOPE)
    assert bool(end.frame) is (dialect.protocol not in unsupplied)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.protocol.value)
def test_a_body_may_name_another_model(dialect):
    """Models have other names at upstreams than here."""
    assert dialect.request.rewritten >= {"model"}
