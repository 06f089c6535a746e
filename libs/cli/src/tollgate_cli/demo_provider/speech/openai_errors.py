"""The refusals that OpenAI's two protocols share."""

from typing import Final

from tollgate_cli.demo_provider.speech.conversation import compact

TOO_LONG: Final = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in "
    "9001 tokens. Please reduce the length of the messages."
)
_CODES: Final = {
    400: "context_length_exceeded", 401: "invalid_api_key", 404: "model_not_found",
    429: "rate_limit_exceeded",
}  # fmt: skip


def body(status: int, message: str, code: str) -> bytes:
    """The body of a refusal; without a code it has the status's usual one."""
    kind = "server_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004
    code = code or _CODES.get(status, "")
    error = {"message": message, "type": kind, "param": None, "code": code or None}
    return compact({"error": error})
