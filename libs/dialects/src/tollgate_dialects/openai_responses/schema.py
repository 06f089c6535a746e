"""What an answer may hold: the one list of members and events that reach a client."""

from collections.abc import Mapping
from typing import Any, Final

from tollgate_dialects.answer.schema import FACTS, SCALAR, WHOLE, Kind, are_objects, scalars

_PART: Final = {
    **scalars("type text refusal"),
    "annotations": [WHOLE],
    "logprobs": [WHOLE],
    "parsed": WHOLE,
}
# Items of every kind: messages, thinking, calls, and what tools of the vendor's did.
_ITEM: Final = {
    **scalars("id type status role phase call_id name namespace arguments input encrypted_content"),
    **scalars("code container_id server_label approval_request_id execution created_by"),
    **scalars(
        "result revised_prompt prompt output_format quality background size max_output_length"
    ),
    "content": [_PART],
    "summary": [_PART],
    "output": WHOLE,
    "arguments": WHOLE,  # objects, where a client searches for tools
    "action": WHOLE,
    "actions": WHOLE,
    "queries": WHOLE,
    "results": WHOLE,
    "outputs": WHOLE,
    "operation": WHOLE,
    "environment": WHOLE,
    "tools": WHOLE,
    "caller": WHOLE,
    "error": WHOLE,
}
RESPONSE: Final[Mapping[str, Kind]] = {
    **scalars("id object created_at completed_at status background model output_text user store"),
    **scalars("max_output_tokens max_tool_calls parallel_tool_calls previous_response_id"),
    **scalars("prompt_cache_key prompt_cache_retention safety_identifier service_tier temperature"),
    **scalars("top_logprobs top_p truncation presence_penalty frequency_penalty error"),
    "incomplete_details": scalars("reason"),
    "instructions": (SCALAR, WHOLE),
    "metadata": WHOLE,
    "output": [_ITEM],
    "prompt_cache_options": FACTS,
    "reasoning": FACTS,
    "text": WHOLE,
    "tool_choice": (SCALAR, WHOLE),
    "tools": [WHOLE],
    "usage": FACTS,
    "tool_usage": FACTS,
    "billing": FACTS,
    "moderation": FACTS,
    "content_filters": [FACTS],  # Azure
}
# What was sent for a response: the client's own words, and what was said before them.
LIST: Final[Mapping[str, Kind]] = {
    **scalars("object first_id last_id has_more"),
    "data": [{**_ITEM, "content": WHOLE}],
}
DELETED: Final[Mapping[str, Kind]] = scalars("id object deleted")
_PLACE: Final = scalars(
    "type sequence_number item_id output_index content_index summary_index obfuscation"
)
_TOLD: Final = {**_PLACE, "response": RESPONSE}
_HAPPENED: Final = (
    "web_search_call.in_progress web_search_call.searching web_search_call.completed"
    " file_search_call.in_progress file_search_call.searching file_search_call.completed"
    " code_interpreter_call.in_progress code_interpreter_call.interpreting"
    " code_interpreter_call.completed image_generation_call.in_progress"
    " image_generation_call.generating image_generation_call.completed"
    " mcp_list_tools.in_progress mcp_list_tools.completed mcp_list_tools.failed"
    " mcp_call.in_progress mcp_call.completed mcp_call.failed"
)
_TEXT: Final = {**_PLACE, "delta": SCALAR, "text": SCALAR, "logprobs": [WHOLE]}
_COMMAND: Final = {**_PLACE, **scalars("command_index command"), "delta": WHOLE, "output": WHOLE}
# Each event's own members, by its type.
EVENTS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "response.created": _TOLD,
    "response.queued": _TOLD,
    "response.in_progress": _TOLD,
    "response.completed": _TOLD,
    "response.incomplete": _TOLD,
    "response.output_item.added": {**_PLACE, "item": _ITEM},
    "response.output_item.done": {**_PLACE, "item": _ITEM},
    "response.content_part.added": {**_PLACE, "part": _PART},
    "response.content_part.done": {**_PLACE, "part": _PART},
    "response.output_text.delta": _TEXT,
    "response.output_text.done": _TEXT,
    "response.output_text.annotation.added": {
        **_PLACE,
        "annotation_index": SCALAR,
        "annotation": WHOLE,
    },
    "response.refusal.delta": {**_PLACE, **scalars("delta")},
    "response.refusal.done": {**_PLACE, **scalars("refusal")},
    "response.function_call_arguments.delta": {**_PLACE, **scalars("delta")},
    "response.function_call_arguments.done": {**_PLACE, **scalars("name arguments")},
    "response.custom_tool_call_input.delta": {**_PLACE, **scalars("delta")},
    "response.custom_tool_call_input.done": {**_PLACE, **scalars("input")},
    "response.reasoning_summary_part.added": {**_PLACE, "part": _PART},
    "response.reasoning_summary_part.done": {**_PLACE, "part": _PART, "status": SCALAR},
    "response.reasoning_summary_text.delta": _TEXT,
    "response.reasoning_summary_text.done": _TEXT,
    "response.reasoning_text.delta": _TEXT,
    "response.reasoning_text.done": _TEXT,
    "response.code_interpreter_call_code.delta": {**_PLACE, **scalars("delta")},
    "response.code_interpreter_call_code.done": {**_PLACE, **scalars("code")},
    "response.mcp_call_arguments.delta": {**_PLACE, **scalars("delta")},
    "response.mcp_call_arguments.done": {**_PLACE, **scalars("arguments")},
    "response.apply_patch_call_operation_diff.delta": {**_PLACE, **scalars("delta")},
    "response.apply_patch_call_operation_diff.done": {**_PLACE, **scalars("diff")},
    "response.shell_call_command.added": _COMMAND,
    "response.shell_call_command.delta": _COMMAND,
    "response.shell_call_command.done": _COMMAND,
    "response.shell_call_output_content.delta": _COMMAND,
    "response.shell_call_output_content.done": _COMMAND,
    **{f"response.{name}": _PLACE for name in _HAPPENED.split()},
}
# Those whose values the model writes.
WORDS: Final = "delta|text|refusal|arguments|input|code"
# Of a whole answer that is one; it may have none, and "complete" is what some write.
_ENDINGS: Final = (None, "completed", "incomplete", "complete")


def is_response(document: Mapping[str, Any]) -> bool:
    """Whether a whole answer has its shape, and is no failure and no promise of an answer."""
    return (
        document.get("object") == "response"
        and document.get("status") in _ENDINGS
        and are_objects(document.get("output"))
    )
