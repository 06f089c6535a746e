"""Where generations are made: one path for words, one for what is seen."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.dashscope import limits
from tollgate_dialects.dialect import Asked, Endpoint, PassedHeaders

_VERSION: Final = "/api/v1"
_WORDS: Final = "/services/aigc/text-generation/generation"
_SEEN: Final = "/services/aigc/multimodal-generation/generation"
# A part that is no text. In a text its quotes would be escaped; a schema has an object there.
_MEDIA = re.compile(rb'"(?:image|video|audio)"\s*+:\s*+["\[]')


def _path_below(base_path: str, asked: Asked) -> str:
    """The base URL of DashScope's SDK has the version, but may be given without it."""
    is_seen = limits.sees(asked.model) or _MEDIA.search(asked.body) is not None
    below = _SEEN if is_seen else _WORDS
    return below if base_path.endswith("/v1") else _VERSION + below


def _asks_for_stream(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """DashScope's own header, or that of events; most clients send both."""
    return any(
        (name == b"x-dashscope-sse" and value.strip().lower() == b"enable")
        or (name == b"accept" and b"text/event-stream" in value.lower())
        for name, value in headers
    )


def _check_headers(headers: Mapping[str, str]) -> None:
    """Its task would be answered with an id, and asked after where there is nothing here."""
    if headers.get("x-dashscope-async", "").strip().lower() == "enable":
        raise BadRequest(
            Code.UNSUPPORTED_PARAMETER,
            "Asynchronous tasks are not served. Leave out the header X-DashScope-Async.",
            "X-DashScope-Async",
        )


ENDPOINT: Final = Endpoint(
    path=_VERSION + _WORDS,
    other_paths=(_VERSION + _SEEN,),
    path_below=_path_below,
    is_one_path=False,
    stream_headers={"X-DashScope-SSE": "enable"},
    key_headers=lambda key: {"Authorization": f"Bearer {key}"},
    told_by=b"",
    asks_for_stream=_asks_for_stream,
    check_headers=_check_headers,
    # Its other headers ask for what is billed by itself.
    passed_on=lambda _headers: PassedHeaders({}, ()),
)
