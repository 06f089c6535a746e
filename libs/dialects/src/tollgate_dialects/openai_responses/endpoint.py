"""Where responses are made: the base URL of OpenAI's SDK includes the version."""

from typing import Final

from tollgate_dialects.dialect import Endpoint, PassedHeaders

ENDPOINT: Final = Endpoint(
    path="/v1/responses",
    path_below=lambda _base_path, _asked: "/responses",
    key_headers=lambda key: {"Authorization": f"Bearer {key}"},
    told_by=b"",
    # The protocol has no headers of its own that bear on an answer.
    passed_on=lambda _headers: PassedHeaders({}, ()),
)
