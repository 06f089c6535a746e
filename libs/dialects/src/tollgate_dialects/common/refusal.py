"""The one exception of the strict reader.

Owns what a refused request may be told: a closed set of codes, fixed messages, and the name of the
parameter. Never carries a value that the client sent, but an id of plain characters.
"""

import enum
import re
from collections.abc import Mapping

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,64}\Z")


class Code(enum.StrEnum):
    """Why a body was refused."""

    INVALID_JSON = "invalid_json"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    DUPLICATE_KEY = "duplicate_key"
    AMBIGUOUS_KEY = "ambiguous_key"
    MISSING_MODEL = "missing_model"
    MISSING_PARAMETER = "missing_parameter"
    INVALID_TYPE = "invalid_type"
    INVALID_VALUE = "invalid_value"
    CONFLICTING_PARAMETERS = "conflicting_parameters"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    PREVIOUS_RESPONSE_NOT_FOUND = "previous_response_not_found"


# Told in the vendor's very sentence, which clients look for.
_VENDORS_OWN_WORDS = frozenset((Code.PREVIOUS_RESPONSE_NOT_FOUND,))


class BadRequest(Exception):  # noqa: N818 - named for what the caller answers: 400 Bad Request
    """A body that is not passed on. `param` is empty when the name itself is not a plain word."""

    def __init__(
        self,
        code: Code,
        message: str,
        param: str = "",
        *,
        details: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param if _PLAIN_NAME.match(param) else ""
        # Fixed words that SDKs act on: the error's `details` in Anthropic's protocol.
        self.details = details

    @property
    def told(self) -> str:
        """The message, after the parameter where it does not name that itself."""
        if self.code in _VENDORS_OWN_WORDS:
            return self.message
        named = re.search(rf"(?<![\w.]){re.escape(self.param)}(?!\w|\.\w)", self.message)
        return f"{self.param}: {self.message}" if self.param and not named else self.message


def thread_unsupported() -> BadRequest:
    """Anthropic's `thread`: its SDK goes on without one when it reads this code.

    The upstream would hold a conversation that the body, and so the bound, does not show.
    """
    return BadRequest(
        Code.UNSUPPORTED_PARAMETER,
        "Threads are not available. Send the full conversation without thread.",
        "thread",
        details={"error_code": "thread_unsupported_request"},
    )


def unsupported(param: str) -> BadRequest:
    """A feature that is billed by something other than the tokens of this one call."""
    return BadRequest(
        Code.UNSUPPORTED_PARAMETER,
        "This parameter or value is billed outside the model's token prices and is not available.",
        param,
    )


def stored_item() -> BadRequest:
    """An item of a response by its name alone: nobody knows what it holds, and so what it costs."""
    return BadRequest(
        Code.UNSUPPORTED_PARAMETER,
        "Stored items cannot be named here; send them whole, with store: false.",
        "input",
    )


def kept_at_vendor(param: str) -> BadRequest:
    """State that the body does not show: whose it is, and how long, is not known here."""
    return BadRequest(
        Code.UNSUPPORTED_PARAMETER,
        "What is kept at the vendor, in an account that many share, is not available here.",
        param,
    )


def unpriced(what: str, option: str, param: str) -> BadRequest:
    """A feature that has a price of its own, which this model has not got yet.

    `what` is our own word for it, `option` what sets it.
    """
    return BadRequest(
        Code.UNSUPPORTED_PARAMETER,
        f"{what} has no price for this model, so it is not available."
        f" The gateway's operator can set one with: tollgate price set MODEL {option}",
        param,
    )


def elsewhere(param: str) -> BadRequest:
    """What one vendor alone does, asked of a model that others serve."""
    return BadRequest(
        Code.UNSUPPORTED_PARAMETER,
        "Only this protocol's own vendor does this, and no provider of the model speaks it.",
        param,
    )


def wrong_type(param: str, expected: str) -> BadRequest:
    """`expected` is one of our own words."""
    return BadRequest(Code.INVALID_TYPE, f"This parameter must be {expected}.", param)
