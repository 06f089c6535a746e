"""Converse's part in translation, put together."""

from typing import Final

from tollgate_dialects.bedrock_converse.translate import answer_reader, request_writer
from tollgate_dialects.conversation.translation import UpstreamTranslation

TRANSLATION: Final = UpstreamTranslation(
    write_request=request_writer.write,
    read_answer=answer_reader.read,
    event_reader=answer_reader.ConverseReader,
)
