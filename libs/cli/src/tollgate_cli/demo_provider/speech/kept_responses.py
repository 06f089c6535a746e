"""The responses that the demo keeps, as OpenAI does: the newest few, in memory."""

from collections import OrderedDict
from typing import Any, Final, NamedTuple

KEPT_MAX: Final = 1_000
_PAGE_ITEMS: Final = 20


class KeptResponse(NamedTuple):
    """One response, what was sent for it, and the tokens of both, with all that was before."""

    document: dict[str, Any]
    given: list[dict[str, Any]]
    tokens: int

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        """What was sent, from the newest on unless it is asked for otherwise."""
        items = self.given if query.get("order") == "asc" else self.given[::-1]
        ids = [item["id"] for item in items]
        start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
        rest = items[start:]
        page = rest[: int(query.get("limit", _PAGE_ITEMS))]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(page) < len(rest),
        }


class UnknownResponseError(LookupError):
    """Somebody goes on from a response that is not kept."""

    code = "previous_response_not_found"


class KeptResponses:
    """By their ids."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, KeptResponse] = OrderedDict()

    def put(self, response: KeptResponse) -> None:
        """Keep a response; the oldest goes for it."""
        self._kept[response.document["id"]] = response
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def find(self, response_id: str) -> KeptResponse | None:
        """A response; None when it is not kept."""
        return self._kept.get(response_id)

    def delete(self, response_id: str) -> None:
        """Forget a response that is kept."""
        del self._kept[response_id]

    def tokens_of(self, response_id: str | None) -> int:
        """What is read again of a response by who goes on from it. Raises UnknownResponseError."""
        if response_id is None:
            return 0
        found = self._kept.get(response_id)
        if found is None:
            raise UnknownResponseError(f"Previous response with id '{response_id}' not found.")
        return found.tokens


def given(asked: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A request's input as a list of items that have ids."""
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    return [_item(item, index) for index, item in enumerate(items)]


def _item(item: dict[str, Any], index: int) -> dict[str, Any]:
    named = {"id": f"item_demo_{index}", "type": "message", "status": "completed", **item}
    if isinstance(named.get("content"), str):
        kind = "output_text" if named.get("role") == "assistant" else "input_text"
        named["content"] = [{"type": kind, "text": named["content"]}]
    return named
