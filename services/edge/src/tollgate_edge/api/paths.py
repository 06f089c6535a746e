"""What a path means: which protocol is spoken there, and what the path itself says of the call.

Promises: a path with a slash or a /v1 too many or too few, or under a vendor's own prefix, is that
path, and nobody is ever redirected; work in proportion to a path's length.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from tollgate_dialects.request.rules import IN_THE_BODY, Told
from tollgate_edge.api.faces import anthropic_api, gemini_api, openai_api
from tollgate_edge.api.faces.face import Face

# The first is spoken by whoever says nothing of it.
FACES = (
    openai_api.FACE,
    anthropic_api.FACE,
    openai_api.RESPONSES_FACE,
    gemini_api.FACE,
    openai_api.DASHSCOPE_FACE,
    *openai_api.OTHER_FACES,
)


class Called(NamedTuple):
    """A path, as the tables have it. `face`: of the calls that are made there; None: none are."""

    path: str
    face: Face | None = None
    # Clients ask about how much they would send, and nothing is sent.
    counts: bool = False
    told: Told = IN_THE_BODY
    # Whose path it is, where no call is made; None: of several.
    spoken: Face | None = None
    # Headers say something of the call, too.
    has_headers: bool = False
    # A response that an upstream keeps, by its id, and what is asked about it; empty: none.
    response_id: str = ""
    asked_of_it: str = ""

    def told_by(self, headers: Iterable[tuple[bytes, bytes]]) -> Told:
        """What the path and the headers say of the call."""
        assert self.face is not None, "there are calls"
        asks_for_stream = self.face.dialect.endpoint.asks_for_stream
        return self.told._replace(stream=asks_for_stream(headers))


# Of those whose path is the same for every call.
_FIXED = [face for face in FACES if face.dialect.request.model_in_body]
HOT = {
    path: Called(path, face, has_headers=not face.dialect.request.stream_in_body)
    for face in _FIXED
    for path in face.paths
}
_COUNTED = {
    path: Called(path, face, counts=True)
    for path, face in ((f"{face.path}{face.count_path}", face) for face in _FIXED)
    if face.dialect.request.count
}
# Base URLs are typed by people: with a slash at the end, with /v1 twice or not at all. And who came
# from another address of the same protocol changes the host alone: DashScope's two, Azure's v1.
_ALIAS = re.compile(
    r"/+(?:(?:(?:compatible-mode|apps/+anthropic|openai)/+)?(?:v1/+)*(?P<api>(?:chat/+)?completions|embeddings|moderations|rerank|responses|messages(?:/+count_tokens)?|models|receipts)"
    r"|(?:(?:api|v1)/+)*(?P<service>services/+aigc/+(?:text|multimodal)-generation/+generation)"
    r"|health/+(?P<probe>live|ready))(?P<rest>/.*)?",
    re.DOTALL,
)
# What is asked about a response, below its path.
_STORED = re.compile(r"/v1/responses/(?P<id>[^/]+)(?:/(?P<asked>cancel|input_items))?")
# Azure's clients name a deployment, which is a model here.
_DEPLOYMENT: Final = "/openai/deployments/"
_DEPLOYED: Final = ("/chat/completions", "/completions", "/embeddings")

# Google's clients name a model in their path, and what is to be done with it; Vertex's below its
# publisher.
_GOOGLE = re.compile(
    r"/+(?P<version>(?:v1(?:beta1?|alpha)?/+)+)(?:publishers/+google/+)?models(?P<rest>/.*)?",
    re.DOTALL,
)
_METHOD = re.compile(r"[a-z]+[A-Z][A-Za-z]*")
_VERBS = frozenset(("generateContent", "streamGenerateContent", "countTokens"))


def of(path: str) -> Called:
    """What a path means that is not HOT itself."""
    path = canonical(path)
    if (found := HOT.get(path) or _COUNTED.get(path)) is not None:
        return found
    if (kept := _STORED.fullmatch(path)) is not None:
        face = openai_api.RESPONSES_FACE
        return Called(
            path, spoken=face, response_id=kept["id"], asked_of_it=kept["asked"] or "response"
        )
    if (google := _GOOGLE.fullmatch(path)) is not None:
        return _of_google(google)
    # What DashScope's SDK asks for and is not served, it is told in its own words.
    spoken = openai_api.DASHSCOPE_FACE if path.startswith("/api/v1/") else None
    return _of_deployment(re.sub("/{2,}", "/", path).rstrip("/")) or Called(path, spoken=spoken)


def _of_deployment(path: str) -> Called | None:
    if not path.startswith(_DEPLOYMENT):
        return None
    api = next((api for api in _DEPLOYED if path.endswith(api)), "")
    model = path[len(_DEPLOYMENT) : -len(api)]
    if not api or not model:
        return None
    return Called(path, HOT[f"/v1{api}"].face, told=Told(model=model))


def _of_google(found: re.Match[str]) -> Called:
    face = gemini_api.FACE
    rest = (found["rest"] or "").strip("/")
    model, _, verb = rest.rpartition(":")
    if model and verb in _VERBS:
        told = Told(model, stream=verb == "streamGenerateContent")
        path = f"{face.path}/{rest}"
        return Called(path, face, counts=verb == "countTokens", told=told)
    if model and _METHOD.fullmatch(verb):
        return Called(f"{face.path}/{rest}", spoken=face)  # one that is not served
    # The lists of models have one place; below /v1 alone, headers say who asks.
    is_shared = not found["version"].replace("v1", "").strip("/")
    listed = f"/v1/models/{rest}" if rest else "/v1/models"
    return Called(listed, spoken=None if is_shared else face)


def canonical(path: str) -> str:
    """The path that is meant, as the tables have it; what is near none of them stays as it is."""
    match = _ALIAS.fullmatch(path)
    if match is None:
        return path
    places = {"api": "/v1/", "service": "/api/v1/", "probe": "/health/"}
    place = next(top + match[name] for name, top in places.items() if match[name])
    rest = (match["rest"] or "").strip("/")
    return re.sub("/+", "/", place) + (f"/{rest}" if rest else "")
