"""The words in which OpenAI's two protocols, chats and Responses, tell of an error."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

# HTTP status -> type.
KINDS: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "insufficient_quota",
        403: "permission_error",
        404: "invalid_request_error",
        429: "rate_limit_error",
        500: "server_error",
    }
)
# That a prompt does not fit into the model.
TOO_LONG: Final = "context_length_exceeded"
# ResponseErrorCode of OpenAI's own description of its API, and those of a refused request.
CODES: Final = frozenset(
    (TOO_LONG, "array_above_max_length", "array_below_min_length", "bio_policy",
     "content_filter", "content_policy_violation", "data_residency_mismatch",
     "decimal_above_max_value", "decimal_below_min_value", "empty_array", "empty_image_file",
     "empty_string", "failed_to_download_image", "image_content_policy_violation",
     "image_file_not_found", "image_file_too_large", "image_parse_error", "image_too_large",
     "image_too_small", "integer_above_max_value", "integer_below_min_value",
     "invalid_base64_image", "invalid_encrypted_content", "invalid_function_parameters",
     "invalid_image", "invalid_image_file", "invalid_image_format", "invalid_image_mode",
     "invalid_image_url", "invalid_json_schema", "invalid_prompt", "invalid_request_error",
     "invalid_type", "invalid_value", "json_validate_failed", "missing_required_parameter",
     "model_not_found", "previous_response_not_found", "rate_limit_exceeded", "server_error",
     "string_above_max_length", "string_below_min_length", "tool_use_failed",
     "unknown_parameter", "unsupported_image_media_type", "unsupported_parameter",
     "unsupported_value", "vector_store_timeout")
)  # fmt: skip
# The members of a request, as OpenAI's own description of its API has them: of both protocols.
_SHARED: Final = (
    "metadata", "model", "moderation", "parallel_tool_calls", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
    "stream", "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p",
    "user", "verbosity",
)  # fmt: skip
CHAT_PARAMS: Final = frozenset(
    (*_SHARED, "audio", "extra_body", "frequency_penalty", "function_call", "functions",
     "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages", "min_p",
     "modalities", "n", "prediction", "presence_penalty", "reasoning", "reasoning_effort",
     "repetition_penalty", "response_format", "seed", "stop", "thinking", "top_k",
     "web_search_options")
)  # fmt: skip
RESPONSES_PARAMS: Final = frozenset(
    (*_SHARED, "background", "context_management", "conversation", "include", "input",
     "instructions", "max_output_tokens", "max_tool_calls", "previous_response_id", "prompt",
     "reasoning", "text", "truncation")
)  # fmt: skip
