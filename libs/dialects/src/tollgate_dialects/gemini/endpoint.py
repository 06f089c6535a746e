"""Where content is generated: the model and what is to be done with it stand in the path."""

from typing import Final
from urllib.parse import quote

from tollgate_dialects.common import google_account
from tollgate_dialects.dialect import Asked, Endpoint, PassedHeaders

# What a base URL without a path has before it, as in Google's SDK.
_VERSION: Final = "/v1beta"
_PREFIX: Final = "models/"


def _path_below(base_path: str, asked: Asked) -> str:
    """AI Studio has models below the version, Vertex below a publisher, which a base URL names."""
    model = quote(asked.model.removeprefix(_PREFIX), safe="")
    verb = "streamGenerateContent?alt=sse" if asked.stream else "generateContent"
    version = "" if base_path.strip("/") else _VERSION
    return f"{version}/models/{model}:{verb}"


ENDPOINT: Final = Endpoint(
    path="/v1beta/models",
    path_below=_path_below,
    is_one_path=False,
    key_headers=lambda key: {"x-goog-api-key": key},
    secrets_in=google_account.secrets_in,
    account=google_account.parse,
    told_by=b"x-goog-api-key",
    # The protocol has no headers of its own that bear on an answer.
    passed_on=lambda _headers: PassedHeaders({}, ()),
)
