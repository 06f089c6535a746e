"""Answers of the one form, written as a response: whole, and as they stream.

Promises: every event has its place and the next number; an item is told whole when it ends, and all
of them once more with the last event; blocks of other vendors stand in `encrypted_content`, from
where the reader of the next request takes them back.
"""

import dataclasses
from typing import Any, Final

from tollgate_dialects.common import documents
from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.answer import (
    Answer,
    AnswerPart,
    Cited,
    Delta,
    Event,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stop,
)
from tollgate_dialects.conversation.machine import events_of
from tollgate_dialects.conversation.parts import Citation, Opaque, Origin, Text, Thinking, ToolCall
from tollgate_dialects.conversation.translation import Context, EventWriter
from tollgate_dialects.openai_responses.translate import citations, response
from tollgate_dialects.pricing.usage import NOTHING, Usage

_SUMMARY: Final = {"summary_index": 0}


def write(answer: Answer, usage: Usage, context: Context) -> dict[str, Any]:
    """A whole response."""
    writer = ResponseWriter(context)
    for event in events_of(answer):
        writer.told(event)
    return writer.whole(answer.ending.stop, usage)


class ResponseWriter(EventWriter):
    """Writes one stream."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._number = 0
        self._told: list[dict[str, Any]] = []
        # Items that are whole, and the one that is being told.
        self._output: list[dict[str, Any]] = []
        self._item: dict[str, Any] = {}
        self._part: AnswerPart = Text("")
        self._texts: list[str] = []
        self._notes: list[dict[str, Any]] = []
        self._seal: Opaque | None = None
        self._is_summary_open = False
        self._has_refused = False
        self._call_ids: set[str] = set()

    def write(self, event: Event, usage: Usage | None) -> bytes:
        """The frames of an event; the name of each is its type."""
        told = self.told(event)
        if isinstance(event, Finished):
            whole = self.whole(event.ending.stop, usage or NOTHING)
            self._tell(f"response.{whole['status']}", response=whole)
        return b"".join(
            b"event: %b\ndata: %b\n\n" % (document["type"].encode(), documents.written(document))
            for document in told
        )

    def whole(self, stop: Stop, usage: Usage) -> dict[str, Any]:
        """The response once all of its items are told, and its end."""
        status, why = response.status_of(stop, has_refused=self._has_refused)
        return {
            **response.head(self._context, status),
            "completed_at": self._context.created_s if status == "completed" else None,
            "incomplete_details": {"reason": why} if why else None,
            "output": self._output,
            "usage": response.usage_report(usage),
        }

    def told(self, event: Event) -> list[dict[str, Any]]:
        """The documents of an event; the last one of all is not among them."""
        self._told = []
        match event:
            case Started():
                begun = response.head(self._context, "in_progress")
                self._tell("response.created", response=begun)
                self._tell("response.in_progress", response=begun)
            case PartStarted(part):
                self._begin(part)
            case Delta(text):
                self._more(text)
            case Sealed(opaque):
                self._seal = opaque
            case Cited(citation):
                self._cite(citation)
            case PartEnded():
                self._end()
            case Finished(ending):
                if ending.stop is Stop.REFUSAL and not self._has_refused:
                    self._explain(ending.explanation)
                self._end_message()
        return self._told

    def _tell(self, kind: str, **members: Any) -> None:
        self._told.append({"type": kind, "sequence_number": self._number, **members})
        self._number += 1

    def _tell_of_item(self, kind: str, **members: Any) -> None:
        place = {"item_id": self._item["id"], "output_index": len(self._output)}
        self._tell(f"response.{kind}", **place, **members)

    def _tell_of_part(self, kind: str, **members: Any) -> None:
        self._tell_of_item(kind, content_index=len(self._item["content"]), **members)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._context.trace}_{len(self._output)}"

    def _open(self, item: dict[str, Any]) -> None:
        self._item = item
        # What is told of an item at one time is not what it is later.
        now = {name: [] if isinstance(value, list) else value for name, value in item.items()}
        self._tell("response.output_item.added", output_index=len(self._output), item=now)

    def _close(self) -> None:
        if "status" in self._item:
            self._item["status"] = "completed"
        self._tell("response.output_item.done", output_index=len(self._output), item=self._item)
        self._output.append(self._item)
        self._item = {}

    def _begin(self, part: AnswerPart) -> None:
        goes_on = isinstance(part, Text) and self._item.get("phase", "") == part.phase
        if not goes_on:
            self._end_message()
        self._part, self._texts, self._notes, self._seal = part, [], [], None
        if isinstance(part, Text):
            self._begin_text(part)
        elif isinstance(part, Thinking):
            self._seal = part.opaque
            self._open({"type": "reasoning", "id": self._id("rs"), "summary": []})
            self._more(part.text)
        else:
            self._begin_call(part)

    def _begin_text(self, part: Text) -> None:
        if not self._item:
            message: dict[str, Any] = {
                "type": "message",
                "id": self._id("msg"),
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            self._open({**message, "phase": part.phase} if part.phase else message)
        self._has_refused |= part.is_refusal
        self._tell_of_part("content_part.added", part=_content(part, "", []))
        self._more(part.text)
        for citation in part.citations:
            self._cite(citation)

    def _explain(self, why: str) -> None:
        """Of a refusal that the model says nothing of, the vendor's words: no answer."""
        if why:
            self._begin(Text(why, is_refusal=True, phase=self._item.get("phase", "")))
            self._end()
            self._has_refused = False

    def _begin_call(self, part: ToolCall) -> None:
        number = len(self._output)
        call_id = part.call_id or f"call_{self._context.trace}_{number}"
        if call_id in self._call_ids:
            # Clients take two calls of one id for one call.
            call_id = f"{call_id}_{self._context.trace}_{number}"
        self._call_ids.add(call_id)
        self._part = dataclasses.replace(part, call_id=call_id)
        if part.opaque is not None:
            self._carry(part.opaque, call_id)
        prefix, kind, member = (
            ("ctc", "custom_tool_call", "input")
            if part.takes_text
            else ("fc", "function_call", "arguments")
        )
        item = {"type": kind, "id": self._id(prefix), "call_id": call_id, "name": part.name}
        item |= {member: "", "status": "in_progress"}
        self._open({**item, "namespace": part.namespace} if part.namespace else item)
        self._more(part.arguments)

    def _carry(self, opaque: Opaque, call_id: str) -> None:
        """A call's block, as thinking that says nothing; it names its call."""
        named = dataclasses.replace(opaque, item_id=opaque.item_id or call_id)
        item_id = self._id("rs")
        self._open(
            {
                "type": "reasoning",
                "id": item_id,
                "summary": [],
                "encrypted_content": carrier.carried(named, Origin.OPENAI, item_id),
            }
        )
        self._close()

    def _more(self, text: str) -> None:
        if not text:
            return
        self._texts.append(text)
        part = self._part
        if isinstance(part, Text):
            if part.is_refusal:
                self._tell_of_part("refusal.delta", delta=text)
            else:
                self._tell_of_part("output_text.delta", delta=text, logprobs=[])
        elif isinstance(part, Thinking):
            self._begin_summary()
            self._tell_of_item("reasoning_summary_text.delta", **_SUMMARY, delta=text)
        elif part.takes_text:
            self._tell_of_item("custom_tool_call_input.delta", delta=text)
        else:
            self._tell_of_item("function_call_arguments.delta", delta=text)

    def _begin_summary(self) -> None:
        if not self._is_summary_open:
            self._is_summary_open = True
            empty = {"type": "summary_text", "text": ""}
            self._tell_of_item("reasoning_summary_part.added", **_SUMMARY, part=empty)

    def _cite(self, citation: Citation) -> None:
        if isinstance(self._part, Text) and self._part.is_refusal:
            return
        note, index = citations.write(citation), len(self._notes)
        self._notes.append(note)
        self._tell_of_part("output_text.annotation.added", annotation_index=index, annotation=note)

    def _end(self) -> None:
        part, text = self._part, "".join(self._texts)
        if isinstance(part, Text):
            if part.is_refusal:
                self._tell_of_part("refusal.done", refusal=text)
            else:
                self._tell_of_part("output_text.done", text=text, logprobs=[])
            content = _content(part, text, self._notes)
            self._tell_of_part("content_part.done", part=content)
            self._item["content"].append(content)
        elif isinstance(part, Thinking):
            self._end_thinking(text)
        else:
            self._end_call(part)

    def _end_thinking(self, text: str) -> None:
        if self._is_summary_open:
            self._is_summary_open = False
            whole = {"type": "summary_text", "text": text}
            self._tell_of_item("reasoning_summary_text.done", **_SUMMARY, text=text)
            self._tell_of_item("reasoning_summary_part.done", **_SUMMARY, part=whole)
            self._item["summary"] = [whole]
        if self._seal is not None or text:
            self._item["encrypted_content"] = carrier.carried(
                self._seal or carrier.UNSEALED, Origin.OPENAI, self._item["id"]
            )
        self._close()

    def _end_call(self, part: ToolCall) -> None:
        if not (self._texts or part.takes_text):
            # Clients parse the arguments: those of a call without any are an empty object.
            self._more("{}")
        text = "".join(self._texts)
        if part.takes_text:
            self._item["input"] = text
            self._tell_of_item("custom_tool_call_input.done", input=text)
        else:
            self._item["arguments"] = text
            self._tell_of_item("function_call_arguments.done", name=part.name, arguments=text)
        self._close()
        if self._seal is not None:
            # It came when its call was on its way.
            self._carry(self._seal, part.call_id)

    def _end_message(self) -> None:
        """Texts that follow one another are one message, which ends when something else begins."""
        if self._item:
            self._close()


def _content(part: Text, text: str, notes: list[dict[str, Any]]) -> dict[str, Any]:
    if part.is_refusal:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": notes, "logprobs": []}
