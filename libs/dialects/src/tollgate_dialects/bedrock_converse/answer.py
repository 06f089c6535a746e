"""Converse's answer, as the meters ask for it."""

from typing import Final

from tollgate_dialects.answer.rules import AnswerRules, words_of
from tollgate_dialects.bedrock_converse import framing, schema, stream, usage

RULES: Final = AnswerRules(
    text=words_of("|".join(schema.WORDS)),
    words=schema.WORDS,
    body=schema.BODY,
    is_body=schema.is_body,
    usage=usage.read,
    stream_reader=stream.EventReader,
    events=frozenset(),
    event_name=lambda _document: b"",
    choices=lambda _document: (),
    end=stream.END,
    # No vocabulary: each frame is written anew for the client in any case.
    error_codes=("type", "code"),
    framing=framing.ConverseFraming,
)
