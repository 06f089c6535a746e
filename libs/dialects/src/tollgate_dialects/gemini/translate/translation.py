"""generateContent's part in translation, put together."""

from typing import Final

from tollgate_dialects.conversation.translation import Translation
from tollgate_dialects.gemini.translate import (
    answer_reader,
    answer_writer,
    request_reader,
    request_writer,
)

TRANSLATION: Final = Translation(
    read_request=request_reader.read,
    write_request=request_writer.write,
    read_answer=answer_reader.read,
    write_answer=answer_writer.write,
    event_reader=answer_reader.ChunkReader,
    event_writer=answer_writer.ChunkWriter,
)
