"""Reads the settings that chats and DashScope's generations write alike."""

from collections.abc import Mapping
from typing import Any

from tollgate_dialects.common import shapes
from tollgate_dialects.conversation.request import OutputFormat


def logit_bias(document: Mapping[str, Any]) -> dict[str, float] | None:
    """The bias by a token's number; None: none is asked for. Raises ShapeError."""
    bias = shapes.item(document, "logit_bias")
    return {name: shapes.number(bias, name) or 0.0 for name in bias} or None


def output_format(document: Mapping[str, Any]) -> OutputFormat | None:
    """What `response_format` asks for; None: nothing is said. Raises ShapeError."""
    asked = shapes.item(document, "response_format")
    match shapes.text(asked, "type"):
        case "":
            return None
        case "text":
            return OutputFormat("text")
        case "json_object":
            return OutputFormat("json_object")
        case "json_schema":
            schema = shapes.item(asked, "json_schema")
            return OutputFormat(
                "json_schema",
                shapes.text(schema, "name"),
                shapes.text(schema, "description"),
                shapes.item(schema, "schema") or None,
                shapes.flag(schema, "strict"),
            )
    raise shapes.ShapeError("response_format", "text, json_object or json_schema")
