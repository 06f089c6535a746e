"""A generation, as the meters ask for it."""

from typing import Final

from tollgate_dialects.answer.rules import AnswerRules
from tollgate_dialects.dashscope import schema, stream, usage

RULES: Final = AnswerRules(
    text=stream.WORDS,
    body=schema.ANSWER,
    is_body=schema.is_answer,
    usage=usage.read,
    stream_reader=stream.FrameReader,
    events=frozenset((stream.NAME.decode(),)),
    event_name=lambda _document: stream.NAME,
    choices=lambda _document: (),
    end=stream.END,
    form=stream.FORM,
    # No vocabulary: every frame has usage, so none is plain text.
    error_codes=("code",),
    model_at=(("output", "model_name"),),
)
