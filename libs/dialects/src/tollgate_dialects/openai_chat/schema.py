"""What an answer to a chat may hold: the one list of members that reach a client.

The protocol's own, and the extensions that vendors send and clients read, of whole answers and of
chunks alike.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import FACTS, SCALAR, WHOLE, Kind, are_objects, scalars

_CALL: Final = {
    **scalars("index id type thought_signature"),
    "function": {
        **scalars("name thought_signature"),
        "arguments": WHOLE,  # some vendors write an object
        "parsed_arguments": WHOLE,
    },
    "custom": scalars("name input"),
    "extra_content": WHOLE,  # Google's thought signature
    "provider_specific_fields": WHOLE,
}
_SAID: Final = {
    "content": (SCALAR, [WHOLE]),  # Mistral: a list of parts
    **scalars("role refusal name reasoning_content channel phase prefix end_turn tool_call_id"),
    **scalars("reasoning_text reasoning_opaque thought_signature"),  # Copilot, Gemini
    "extra_content": WHOLE,
    "reasoning": (SCALAR, WHOLE),
    "reasoning_details": [WHOLE],  # OpenRouter
    "tool_calls": [_CALL],
    "function_call": scalars("name arguments"),
    "audio": scalars("id data expires_at transcript"),
    "annotations": [WHOLE],
    "citations": [WHOLE],
    "images": [WHOLE],
    "executed_tools": [WHOLE],  # Groq
    "thinking_blocks": [WHOLE],  # LiteLLM
    "context": WHOLE,  # Azure, on your data
    "parsed": WHOLE,
    "provider_specific_fields": WHOLE,
}
_CHOICE: Final = {
    **scalars("index finish_reason native_finish_reason seed stop_reason matched_stop"),
    "delta": _SAID,
    "message": _SAID,
    "logprobs": WHOLE,
    "usage": FACTS,  # Moonshot
    "content_filter_results": FACTS,  # Azure
    "content_filter_result": FACTS,
    "content_filter_offsets": FACTS,
    "finish_details": FACTS,
    "token_ids": FACTS,  # vLLM
    "provider_specific_fields": FACTS,
}
ANSWER: Final[Mapping[str, Kind]] = {
    **scalars("id object created model system_fingerprint service_tier obfuscation p"),
    **scalars("provider request_id"),
    "choices": [_CHOICE],
    "usage": FACTS,
    "usage_breakdown": FACTS,
    "x_groq": {**scalars("id seed"), "usage": FACTS},
    "prompt_filter_results": [FACTS],  # Azure
    "moderation": FACTS,
    "time_info": FACTS,  # Cerebras
    "timings": FACTS,  # llama.cpp
    "sla_metrics": FACTS,
    "metadata": FACTS,
    "prompt": [FACTS],  # Together
    "citations": [WHOLE],  # Perplexity, xAI
    "search_results": [WHOLE],
    "images": [WHOLE],
    "related_questions": [WHOLE],
    "web_search": [WHOLE],  # z.ai
    "prompt_logprobs": WHOLE,  # vLLM
    "prompt_token_ids": FACTS,
}
# Those whose values the model writes.
WORDS: Final = (
    "content|reasoning_content|reasoning_text|reasoning|refusal|arguments|input|transcript"
)


def is_chunk(document: Mapping[str, Any]) -> bool:
    """Whether a document has the shape of a chunk or a completion."""
    return are_objects(document.get("choices"))


def is_completion(document: Mapping[str, Any]) -> bool:
    """Whether a whole answer has its shape. Azure leaves a message out that its filter stopped."""
    return is_chunk(document) and all(
        isinstance(choice.get("message"), dict) or choice.get("finish_reason")
        for choice in document["choices"]
    )
