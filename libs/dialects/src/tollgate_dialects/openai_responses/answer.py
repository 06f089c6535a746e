"""A response, as the meters ask for it."""

from typing import Final

from tollgate_dialects.answer.rules import AnswerRules, words_of
from tollgate_dialects.answer.template import Vocabulary
from tollgate_dialects.openai_responses import ids, schema, stream, usage

RULES: Final = AnswerRules(
    text=words_of(schema.WORDS),
    body=schema.RESPONSE,
    is_body=schema.is_response,
    usage=usage.read,
    report=usage.found_in,
    stream_reader=stream.EventReader,
    events=frozenset((*schema.EVENTS, "response.failed", "response.done")),
    event_name=stream.name_of,
    choices=lambda _document: (),
    end=stream.END,
    vocabulary=Vocabulary(texts="item_id|delta|obfuscation", words=r"response\.[a-z_]+\.delta"),
    error_codes=("code", "type"),
    model_at=(("model",), ("response", "model")),
    kept_as=ids.kept_as,
)
