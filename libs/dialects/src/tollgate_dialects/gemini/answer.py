"""An answer, as the meters ask for it."""

import re
from typing import Final

from tollgate_dialects.answer.rules import AnswerRules
from tollgate_dialects.answer.template import Vocabulary
from tollgate_dialects.gemini import schema, stream, usage

# Texts that are not the model's words. All others are: arguments are an object, and each text in
# it is one.
_SAID_ABOUT: Final = (
    b"thoughtSignature|role|finishReason|finishMessage|modelVersion|responseId|createTime|modality|"
    b"trafficType|serviceTier|category|probability|mimeType|data|blockReason|blockReasonMessage"
)
_TEXT = re.compile(
    rb'"(?!(?:%b)")[^"\\]{1,64}+"\s*+:\s*+"((?>(?:[^"\\]++|\\.)*))"' % _SAID_ABOUT, re.DOTALL
)

RULES: Final = AnswerRules(
    text=_TEXT,
    body=schema.ANSWER,
    is_body=schema.is_answer,
    usage=usage.read,
    report=usage.found_in,
    stream_reader=stream.ChunkReader,
    events=frozenset(),
    event_name=lambda _document: b"",
    choices=lambda _document: (),
    end=stream.END,
    vocabulary=Vocabulary(texts="text", words="model"),
    error_codes=("status",),
    model_at=(("modelVersion",),),
    # Google's SDK takes a comment for the beginning of an error.
    takes_comments=False,
)
