"""What an answer may hold: the one list of members that reach a client, whole or chunk by chunk."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import FACTS, PROSE, WHOLE, Kind, are_objects, scalars

_PIECE: Final = scalars("jsonPath stringValue numberValue boolValue nullValue willContinue")
_PART: Final = {
    **scalars("text thought thoughtSignature"),
    "functionCall": {
        **scalars("id name willContinue"),
        "args": WHOLE,
        # Vertex, where arguments are asked for piece by piece.
        "partialArgs": [_PIECE],
    },
    "inlineData": scalars("mimeType data displayName"),
    "executableCode": scalars("id language code"),
    "codeExecutionResult": scalars("id outcome output"),
    "partMetadata": WHOLE,
}
_CANDIDATE: Final = {
    **scalars("index finishReason avgLogprobs tokenCount"),
    "finishMessage": PROSE,
    "content": {**scalars("role"), "parts": [_PART]},
    "safetyRatings": [FACTS],
    "logprobsResult": WHOLE,
    "citationMetadata": WHOLE,
}
ANSWER: Final[Mapping[str, Kind]] = {
    **scalars("modelVersion responseId createTime"),
    "candidates": [_CANDIDATE],
    "promptFeedback": {
        **scalars("blockReason"),
        "blockReasonMessage": PROSE,
        "safetyRatings": [FACTS],
    },
    "usageMetadata": FACTS,
}
# Those whose values the model writes.
WORDS: Final = frozenset(
    ("text", "name", "args", "stringValue", "numberValue", "boolValue", "code", "output")
)


def is_answer(document: Mapping[str, Any]) -> bool:
    """Whether a document has the shape of an answer or of a chunk of one.

    A prompt that was blocked has no candidates, and the last chunk may hold usage alone.
    """
    candidates = document.get("candidates")
    if candidates is not None:
        return are_objects(candidates)
    return any(isinstance(document.get(name), dict) for name in ("promptFeedback", "usageMetadata"))
