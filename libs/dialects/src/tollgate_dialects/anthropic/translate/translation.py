"""Messages' part in translation, put together."""

from typing import Final

from tollgate_dialects.anthropic.translate import (
    answer_reader,
    answer_writer,
    request_reader,
    request_writer,
)
from tollgate_dialects.conversation.translation import Translation

TRANSLATION: Final = Translation(
    read_request=request_reader.read,
    write_request=request_writer.write,
    read_answer=answer_reader.read,
    write_answer=answer_writer.write,
    event_reader=answer_reader.MessageReader,
    event_writer=answer_writer.MessageWriter,
)
