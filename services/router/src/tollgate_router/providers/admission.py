"""What an operator may register: names, models, keys and prices that make sense.

Pure. Raises InvalidField with the field's name and a rule, never with what was sent.
"""

import re
from collections.abc import Collection, Sequence

from tollgate_dialects.common.google_account import BadAccountError
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import UPSTREAM_DIALECTS
from tollgate_router.providers import access_token, base_url, endpoint
from tollgate_router.providers.base_url import BaseUrl
from tollgate_router.providers.catalogue import ProviderModel

MODELS_MAX = 500
# With a key of 4096 bits it has some 4,000.
ACCOUNT_BYTES_MAX = 8192
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MODEL = re.compile(r"[\x21-\x7e]{1,256}")


class InvalidField(ValueError):  # noqa: N818 - it is what was found
    """A field breaks a rule."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field = field
        self.why = why


def provider_name(text: str) -> str:
    """A provider's name: it stands in metrics, logs and routes."""
    return _matching("name", text, _NAME, "1 to 64 of a-z, 0-9, '_' or '-'")


def model_name(text: str, *, field: str = "model") -> str:
    """A model's name, the clients' or the upstream's."""
    return _matching(field, text, _MODEL, "1 to 256 visible ASCII characters")


def models(pairs: Sequence[tuple[str, str]]) -> tuple[ProviderModel, ...]:
    """The models of a provider; the upstream's name is the clients' when it is empty."""
    if not 0 < len(pairs) <= MODELS_MAX:
        raise InvalidField("models", f"between 1 and {MODELS_MAX} models")
    served = tuple(
        ProviderModel(
            model_name(model, field="models.model"),
            model_name(upstream_model or model, field="models.upstream_model"),
        )
        for model, upstream_model in pairs
    )
    if len({each.model for each in served}) != len(served):
        raise InvalidField("models", "a model is named twice")
    return served


def address(text: str, *, allow_private: bool) -> BaseUrl:
    """A provider's base URL."""
    try:
        return base_url.parse(text, allow_private=allow_private)
    except base_url.BadBaseUrl as bad:
        raise InvalidField("base_url", bad.why) from None


def key(text: str, protocol: Protocol, token_uris: Collection[str]) -> None:
    """An upstream key, which may be a service account that gets its tokens at one of these.

    Takes some tens of milliseconds for an account.
    """
    try:
        account = UPSTREAM_DIALECTS[protocol].endpoint.account(text)
        if account is not None:
            access_token.check(account)
    except BadAccountError as bad:
        raise InvalidField("secret", f"no service account: {bad.why}") from None
    if account is None:
        if not endpoint.is_sendable_key(text):
            raise InvalidField("secret", "1 to 4096 visible ASCII characters")
    elif len(text.encode()) > ACCOUNT_BYTES_MAX:
        raise InvalidField("secret", f"an account of more than {ACCOUNT_BYTES_MAX} bytes")
    elif account.token_uri not in token_uris:
        raise InvalidField("secret", "its token_uri is not on this deployment's list")


def _matching(field: str, text: str, pattern: re.Pattern[str], why: str) -> str:
    if not pattern.fullmatch(text):
        raise InvalidField(field, why)
    return text
