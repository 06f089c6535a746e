"""What a generation may hold: the one list of members that reach a client.

Whole answers and the frames of a stream have the same.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import FACTS, SCALAR, WHOLE, Kind, are_objects, scalars

_CALL: Final = {**scalars("index id type"), "function": scalars("name arguments")}
_PART: Final = {
    **scalars("text image"),
    "image_hw": [WHOLE],
    "ocr_result": WHOLE,  # what the model read, in the client's own form
}
_SAID: Final = {
    "content": (SCALAR, [_PART]),
    **scalars("role reasoning_content name"),
    "tool_calls": [_CALL],
    "annotations": [WHOLE],
}
_CHOICE: Final = {**scalars("index finish_reason"), "message": _SAID, "logprobs": WHOLE}
ANSWER: Final[Mapping[str, Kind]] = {
    **scalars("request_id status_code"),
    # Of errors, and empty in an answer.
    "code": FACTS,
    "message": FACTS,
    "output": {
        **scalars("text finish_reason model_name"),
        "choices": [_CHOICE],
        "search_info": WHOLE,
    },
    "usage": FACTS,
}


def output_of(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a document gives, if it has the shape of an answer and tells of no error."""
    output = document.get("output")
    if not isinstance(output, dict) or document.get("code"):
        return None
    choices = output.get("choices")
    if choices is None:
        return output if isinstance(output.get("text"), str) else None
    if not are_objects(choices) or not all(isinstance(one.get("message"), dict) for one in choices):
        return None
    return output


def is_answer(document: Mapping[str, Any]) -> bool:
    """Whether a whole answer has its shape."""
    return output_of(document) is not None


def reason_of(ended: Mapping[str, Any]) -> str:
    """Why a choice, or an output in one text, has ended; empty while it goes on.

    That it goes on is told by a word, too.
    """
    reason = ended.get("finish_reason")
    return reason if isinstance(reason, str) and reason != "null" else ""
