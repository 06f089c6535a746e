"""Names of calls, in a request that else goes up as its client wrote it.

AI Studio names each call and takes the name back; Vertex has no such member in a request and
refuses it ("Unknown name "id" at 'contents[1].parts[0].function_call'"), so there results are told
apart by their functions' names and their order.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollgate_dialects.gemini.spelling import both
from tollgate_dialects.request.rules import Shed

_CALLS: Final = both("functionCall")
_RESULTS: Final = both("functionResponse")
# Vertex has its models below a publisher, which a base URL names.
_VERTEX: Final = "/publishers/"


def may_have(document: Mapping[str, Any]) -> bool:
    """Whether a call or a result has a name."""
    return any(
        "id" in holder
        for content in _contents(document)
        for holder in _held(content, _CALLS | _RESULTS)
    )


def shed(
    document: Mapping[str, Any],
    _model: str,
    _keeps_tools: bool = False,  # noqa: FBT001, FBT002 - as every dialect's
    base_path: str = "",
) -> Shed:
    """The request for Vertex: results in the order of their calls, and no names."""
    if _VERTEX not in f"{base_path}/":
        return Shed(document)
    contents: list[Any] = []
    called: list[Any] = []
    for content in document["contents"]:
        ids = [call.get("id") for call in _held(content, _CALLS)]
        parts = content.get("parts") if isinstance(content, dict) else None
        if isinstance(parts, list):
            content = {**content, "parts": [_unnamed(part) for part in _ordered(parts, called)]}  # noqa: PLW2901
        contents.append(content)
        called = ids
    return Shed({**document, "contents": contents})


def _contents(document: Mapping[str, Any]) -> list[Any]:
    contents = document.get("contents")
    return contents if isinstance(contents, list) else []


def _held(content: Any, names: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The calls or results in a content."""
    parts = content.get("parts") if isinstance(content, dict) else None
    for part in parts if isinstance(parts, list) else ():
        yield from _in_part(part, names)


def _in_part(part: Any, names: frozenset[str]) -> Iterator[dict[str, Any]]:
    for name in names & part.keys() if isinstance(part, dict) else ():
        if isinstance(part[name], dict):
            yield part[name]


def _ordered(parts: list[Any], called: list[Any]) -> list[Any]:
    """Results that stand alone, as their calls stood; all else as it is."""
    results = [next(_in_part(part, _RESULTS), {}).get("id") for part in parts]
    if not all(isinstance(one, str) and one in called for one in results):
        return parts
    places = sorted(range(len(parts)), key=lambda at: called.index(results[at]))
    return [parts[at] for at in places]


def _unnamed(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return {
        name: {key: value for key, value in held.items() if key != "id"}
        if name in _CALLS | _RESULTS and isinstance(held, dict)
        else held
        for name, held in part.items()
    }
