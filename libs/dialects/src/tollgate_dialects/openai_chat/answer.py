"""A chat's answer, as the meters ask for it."""

from typing import Final

from tollgate_dialects.answer.rules import AnswerRules, words_of
from tollgate_dialects.answer.template import Vocabulary
from tollgate_dialects.openai_chat import schema, stream, usage

RULES: Final = AnswerRules(
    text=words_of(schema.WORDS),
    words=stream.WORDS.names,
    body=schema.ANSWER,
    is_body=schema.is_completion,
    usage=usage.read,
    report=usage.found_in,
    stream_reader=stream.ChunkReader,
    events=frozenset(),
    event_name=lambda _document: b"",
    choices=stream.choices_of,
    end=stream.END,
    vocabulary=Vocabulary(
        texts="id|model|system_fingerprint|provider|request_id|obfuscation|p|name|"
        "content|reasoning_content|reasoning|refusal|arguments|text|thinking|signature",
        words=r"chat\.completion\.chunk|assistant|function|default|flex|priority",
    ),
    error_codes=("code", "type"),
)
