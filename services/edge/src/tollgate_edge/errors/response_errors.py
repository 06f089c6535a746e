"""What is told of a response that an upstream keeps, or does not: rows of the table beside it.

Promises: who may not see a response is told in the very words that are told of none.
"""

from tollgate_edge.errors.public_errors import PublicError, Refusal

OUT_OF_REACH = Refusal(
    PublicError(
        502,
        "provider_unavailable",
        "The provider account that keeps this response is not in use here now.",
    ),
    "RESPONSE_OUT_OF_REACH",
)


def not_found(response_id: str) -> Refusal:
    """In OpenAI's words. The id is the client's own, of plain characters."""
    message = f"Response with id '{response_id}' not found."
    return Refusal(PublicError(404, "response_not_found", message), "RESPONSE_NOT_FOUND")
