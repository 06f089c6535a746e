"""What may be asked of a response that an upstream keeps, and what of the answer passes.

Owns the list of requests and of their parameters. Promises that a path and a query are made of
plain words that were each looked at; what else a client writes there is refused by its name.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from tollgate_dialects.answer.rules import AnswerRules
from tollgate_dialects.answer.schema import Kind
from tollgate_dialects.common.refusal import BadRequest, Code
from tollgate_dialects.openai_responses import answer, ids, schema

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_WORD: Final = re.compile(r"[A-Za-z0-9_.]{1,64}\Z")
_PARAMETERS_MAX: Final = 32
_QUERY_CHARACTERS_MAX: Final = 4_096
# What a response is made of beside its text; as the SDKs write an array, and as curl does.
_INCLUDE: Final = {"include[]": _WORD, "include": _WORD}
_PAGE: Final = {
    "after": _ID,
    "limit": re.compile(r"(?:100|[1-9][0-9]?)\Z"),
    "order": re.compile(r"(?:asc|desc)\Z"),
}
# Harmless as SDKs may send them: what is so anyhow is left out.
_LEFT_OUT: Final = {"stream": "false", "include_obfuscation": "false"}
# Azure's clients write it into every query; which version a provider speaks is not theirs to say.
_AZURES: Final = "api-version"
_VERSION: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")


class Action(NamedTuple):
    """One kind of request about a response."""

    method: str
    # What follows the response's own path.
    below: str
    # What passes of the upstream's answer.
    answer: AnswerRules
    # The parameters of its query, and what each may be.
    parameters: Mapping[str, re.Pattern[str]]

    def query(self, written: str) -> str:
        """What goes upstream of a client's query, as it is encoded there. Raises BadRequest."""
        if len(written) > _QUERY_CHARACTERS_MAX:
            raise BadRequest(Code.TOO_LARGE, "The query is too long.")
        try:
            pairs = parse_qsl(
                written, keep_blank_values=True, max_num_fields=_PARAMETERS_MAX, errors="strict"
            )
        except ValueError:
            raise BadRequest(Code.INVALID_VALUE, "The query cannot be read.") from None
        return urlencode([(name, value) for name, value in pairs if self._goes(name, value)])

    def _goes(self, name: str, value: str) -> bool:
        if self.method == "GET" and _LEFT_OUT.get(name) == value:
            return False
        if name == _AZURES and _VERSION.match(value):
            return False
        pattern = self.parameters.get(name)
        if pattern is None:
            raise BadRequest(
                Code.UNSUPPORTED_PARAMETER, "This parameter is not available here.", name
            )
        if not pattern.match(value):
            raise BadRequest(Code.INVALID_VALUE, "This value is not one of the parameter's.", name)
        return True


def _rules(body: Mapping[str, Kind], kind: str) -> AnswerRules:
    """Those of an answer that is no response: nothing in it was used, or is charged."""
    return replace(
        answer.RULES,
        body=body,
        is_body=lambda document: str(document.get("object")).startswith(kind),
        report=lambda _document: None,
    )


ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {
        "retrieve": Action("GET", "", answer.RULES, _INCLUDE),
        "delete": Action("DELETE", "", _rules(schema.DELETED, "response"), {}),
        "cancel": Action("POST", "/cancel", answer.RULES, {}),
        "input_items": Action(
            "GET", "/input_items", _rules(schema.LIST, "list"), {**_PAGE, **_INCLUDE}
        ),
    }
)


def below(action: Action, response_id: str, query: str) -> str:
    """What follows the path where responses are made, in a request about one."""
    assert ids.is_id(response_id), "it stands in a path"
    path = f"/{response_id}{action.below}"
    return f"{path}?{query}" if query else path
