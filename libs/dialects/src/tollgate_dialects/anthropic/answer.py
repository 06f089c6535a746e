"""A message's answer, as the meters ask for it."""

from typing import Final

from tollgate_dialects.answer.rules import AnswerRules, words_of
from tollgate_dialects.answer.template import Vocabulary
from tollgate_dialects.anthropic import schema, stream, usage

RULES: Final = AnswerRules(
    text=words_of("text|partial_json|thinking|data"),
    words=frozenset(("text", "input", "thinking", "data")),
    body=schema.MESSAGE,
    is_body=schema.is_message,
    usage=usage.read,
    report=usage.found_in,
    stream_reader=stream.EventReader,
    events=frozenset(schema.EVENTS),
    event_name=stream.name_of,
    choices=lambda _document: (),
    end=stream.END,
    vocabulary=Vocabulary(
        texts="id|model|name|content|text|partial_json|thinking|signature",
        words=r"content_block_delta|\w+_delta",
    ),
    error_codes=("type", "code"),
    model_at=(("model",), ("message", "model")),
)
