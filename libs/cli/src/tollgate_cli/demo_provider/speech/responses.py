"""OpenAI Responses."""

import re
import secrets
from typing import Any, ClassVar, Final, Self

from tollgate_cli.demo_provider.speech import openai_errors
from tollgate_cli.demo_provider.speech.conversation import (
    Answer,
    Counts,
    End,
    Kind,
    Piece,
    Question,
    compact,
    input_tokens,
)
from tollgate_cli.demo_provider.speech.kept_responses import KeptResponse, KeptResponses, given
from tollgate_cli.demo_provider.speech.speech import (
    CREATED,
    SEAL,
    Speech,
    data,
    limit,
    model_of,
    parsed,
)
from tollgate_cli.demo_provider.wire import Request

_SEALED: Final = "reasoning.encrypted_content"
# Of each kind: the type of its item, and that item's id.
_ITEMS: Final = {
    Kind.THINKING: ("reasoning", "rs_demo"),
    Kind.TEXT: ("message", "msg_demo"),
    Kind.REFUSAL: ("message", "msg_demo"),
    Kind.CALL: ("function_call", "fc_demo"),
}
# Of each kind: the event that a piece of it comes in; its end has the same name, and the member.
_EVENTS: Final = {
    Kind.THINKING: ("response.reasoning_summary_text", "text"),
    Kind.TEXT: ("response.output_text", "text"),
    Kind.REFUSAL: ("response.refusal", "refusal"),
    Kind.CALL: ("response.function_call_arguments", "arguments"),
}


class Responses(Speech):
    """A call of Responses; a part is an item. What is whole is kept, unless its client says no."""

    name = "responses"
    model = "demo-codex"
    path = re.compile(r"/v1/responses")
    too_long = openai_errors.TOO_LONG
    kept: ClassVar = KeptResponses()

    def __init__(self, question: Question, asked: dict[str, Any], *, is_sealed: bool) -> None:
        super().__init__(question)
        self._id = f"resp_{secrets.token_hex(25)}"
        self._asked = asked
        self._is_kept = asked.get("store") is not False
        # Whether the client wants its thinking back to replay it.
        self._is_sealed = is_sealed
        self._sequence = 0
        # Items that are told whole, and the part that is being told; None between two.
        self._told: list[dict[str, Any]] = []
        self._open: Piece | None = None

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body)
        if not isinstance(asked.get("input"), str | list):
            raise ValueError("input is required")
        question = Question(
            model=model_of(asked),
            stream=asked.get("stream") is True,
            input_tokens=input_tokens(asked, "instructions", "input", "tools")
            + cls.kept.tokens_of(asked.get("previous_response_id")),
            max_tokens=limit(asked.get("max_output_tokens")),
            function=_function(asked),
        )
        return cls(question, asked, is_sealed=_SEALED in (asked.get("include") or []))

    def body(self, answer: Answer) -> bytes:
        items = [self._item(part, index) for index, part in enumerate(answer.parts)]
        return compact(self._keep(self._response(items, answer.end, answer.usage), answer.usage))

    def opening(self, _usage: Counts | None) -> bytes:
        begun = self._response([], None, None)
        return self._event("response.created", response=begun) + self._event(
            "response.in_progress", response=begun
        )

    def say(self, piece: Piece, _usage: Counts | None) -> bytes:
        begun = b""
        if self._open is None or self._open.kind is not piece.kind:
            begun = self._finish() + self._begin(piece.kind)
            self._open = Piece(piece.kind, "")
        self._open = Piece(piece.kind, self._open.text + piece.text)
        more: dict[str, Any] = {"logprobs": []} if piece.kind is Kind.TEXT else {}
        event, _ = _EVENTS[piece.kind]
        return begun + self._event(
            f"{event}.delta", **self._place(piece.kind), delta=piece.text, **more
        )

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        del usage_on_last  # it always is
        finished = self._finish()
        response = self._keep(self._response(self._told, end, usage), usage)
        return finished + self._event(f"response.{response['status']}", response=response)

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        return openai_errors.body(status, message, code)

    def error_event(self, message: str) -> bytes:
        error = {"code": "server_error", "message": message}
        response = {**self._response(self._told, None, None), "status": "failed", "error": error}
        told = self._event("error", error={"type": "server_error", **error, "param": None})
        return told + self._event("response.failed", response=response)

    def _keep(self, response: dict[str, Any], usage: Counts | None) -> dict[str, Any]:
        if self._is_kept:
            tokens = self.question.input_tokens if usage is None else usage.all_tokens
            self.kept.put(KeptResponse(response, given(self._asked["input"]), tokens))
        return response

    def _begin(self, kind: Kind) -> bytes:
        empty, index = Piece(kind, ""), len(self._told)
        item = self._item(empty, index, is_done=False)
        added = self._event("response.output_item.added", output_index=index, item=item)
        return added + self._part_event(empty, "added")

    def _finish(self) -> bytes:
        part, self._open = self._open, None
        if part is None:
            return b""
        item = self._item(part, len(self._told))
        event, member = _EVENTS[part.kind]
        more: dict[str, Any] = {member: part.text}
        if part.kind is Kind.TEXT:
            more["logprobs"] = []
        elif part.kind is Kind.CALL:
            more["name"] = self.question.function
        done = self._event(f"{event}.done", **self._place(part.kind), **more)
        done += self._part_event(part, "done")
        done += self._event("response.output_item.done", output_index=len(self._told), item=item)
        self._told.append(item)
        return done

    def _part_event(self, part: Piece, what: str) -> bytes:
        if part.kind is Kind.CALL:
            return b""
        name = "reasoning_summary_part" if part.kind is Kind.THINKING else "content_part"
        place = self._place(part.kind)
        return self._event(f"response.{name}.{what}", **place, part=_content(part))

    def _place(self, kind: Kind) -> dict[str, Any]:
        index = len(self._told)
        place: dict[str, Any] = {"item_id": _item_id(kind, index), "output_index": index}
        if kind is Kind.THINKING:
            place["summary_index"] = 0
        elif kind is not Kind.CALL:
            place["content_index"] = 0
        return place

    def _item(self, part: Piece, index: int, *, is_done: bool = True) -> dict[str, Any]:
        item: dict[str, Any] = {
            "id": _item_id(part.kind, index),
            "type": _ITEMS[part.kind][0],
            "status": "completed" if is_done else "in_progress",
        }
        if part.kind is Kind.CALL:
            called = {"call_id": "call_demo", "name": self.question.function}
            return {**item, **called, "arguments": part.text}
        content = [_content(part)] if is_done else []
        if part.kind is not Kind.THINKING:
            return {**item, "role": "assistant", "content": content}
        sealed = {"encrypted_content": SEAL} if is_done and self._is_sealed else {}
        return {**item, "summary": content, **sealed}

    def _response(
        self, output: list[dict[str, Any]], end: End | None, usage: Counts | None
    ) -> dict[str, Any]:
        """The response as it stands; no end: it is being made."""
        is_cut = end is End.LENGTH
        status = "in_progress" if end is None else "incomplete" if is_cut else "completed"
        return {
            "id": self._id,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "instructions": None,
            "max_output_tokens": self.question.max_tokens,
            "metadata": {},
            "model": self.question.model,
            "output": output,
            "parallel_tool_calls": True,
            "previous_response_id": self._asked.get("previous_response_id"),
            "store": self._is_kept,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None if usage is None else _usage(usage),
        }

    def _event(self, kind: str, **members: Any) -> bytes:
        document = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return data(compact(document), kind)


def _item_id(kind: Kind, index: int) -> str:
    return f"{_ITEMS[kind][1]}_{index}"


def _content(part: Piece) -> dict[str, Any]:
    match part.kind:
        case Kind.THINKING:
            return {"type": "summary_text", "text": part.text}
        case Kind.REFUSAL:
            return {"type": "refusal", "refusal": part.text}
    return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}


def _function(asked: dict[str, Any]) -> str:
    heard, tools = asked["input"], asked.get("tools") or []
    if isinstance(heard, list) and heard and heard[-1].get("type") == "function_call_output":
        return ""
    return next((tool["name"] for tool in tools if tool.get("type") == "function"), "")


def _usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.all_input_tokens,
        "input_tokens_details": {
            "cached_tokens": counts.cache_read_tokens,
            "cache_write_tokens": counts.cache_write_tokens,
        },
        "output_tokens": counts.output_tokens,
        "output_tokens_details": {"reasoning_tokens": counts.thinking_tokens},
        "total_tokens": counts.all_tokens,
    }
