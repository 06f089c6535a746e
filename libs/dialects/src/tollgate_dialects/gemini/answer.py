"""An answer, as the meters ask for it."""

from typing import Final

from tollgate_dialects.answer.rules import AnswerRules, words_of
from tollgate_dialects.gemini import schema, stream, usage

RULES: Final = AnswerRules(
    text=words_of("text"),
    words=schema.WORDS,
    body=schema.ANSWER,
    is_body=schema.is_answer,
    usage=usage.read,
    report=usage.found_in,
    stream_reader=stream.ChunkReader,
    events=frozenset(),
    event_name=lambda _document: b"",
    choices=lambda _document: (),
    end=stream.END,
    # No vocabulary: nearly every chunk has usage, so none is plain text.
    error_codes=("status",),
    model_at=(("modelVersion",),),
    # Google's SDK takes a comment for the beginning of an error.
    takes_comments=False,
)
