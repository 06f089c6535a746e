"""Meters an answer while it passes: what it used, whether it ended, whether it failed.

Promises that only what `answer_schema` lists is among the bytes to pass on, that nothing passes
after the protocol's last event and that this is there when the answer was complete; and that what
an upstream of the protocol sends passes byte for byte, less usage that the client did not ask for.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from tollgate_dialects.answer import reported, upstream_error
from tollgate_dialects.answer import schema as answer_schema
from tollgate_dialects.answer import template as answer_template
from tollgate_dialects.answer.answer_usage import AnswerMeter
from tollgate_dialects.common import members, sse
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.pricing.usage import NOTHING

MAX_BODY_BYTES: Final = 64 * 1024 * 1024

# More than any request may ask for.
_MAX_CHOICES = 1_000
# Frames of one stream that are looked at for their shape.
_MAX_LESSONS = 12


class _Read(NamedTuple):
    """A JSON document of an upstream."""

    value: Any
    # Valid JSON in valid UTF-8: its bytes may pass as they are.
    is_clean: bool


def _read_json(data: bytes) -> _Read | None:
    """Halves of a surrogate pair and bytes that are no UTF-8 are forgiven, other faults not."""
    try:
        return _Read(orjson.loads(data), is_clean=True)
    except orjson.JSONDecodeError:
        pass
    text = data.decode("utf-8", "replace")
    if "\\ud" not in text.lower() and "\ufffd" not in text:
        return None
    try:
        return _Read(json.loads(text), is_clean=False)
    except (ValueError, RecursionError):
        return None


def _written(document: object) -> bytes | None:
    """None for what is nested too deeply to be written."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # a half of a surrogate pair
        pass
    try:
        return json.dumps(document, separators=(",", ":")).encode()
    except RecursionError:
        return None


class BodyMeter(AnswerMeter):
    """For an answer in one JSON body: nothing passes before all of it is known to be an answer."""

    def __init__(self, protocol: Protocol, *, secrets: Sequence[str] = ()) -> None:
        super().__init__(protocol, secrets=secrets)
        self._chunks: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Takes a chunk; a body passes at `finish`."""
        if self.error or self.finished:
            return b""
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_BODY_BYTES:
            self._chunks.clear()
            self._fail()
            return b""
        # Until the body is whole, its size is all that is known of its text.
        self._produced_bytes = self._unreported_bytes = self._size_bytes
        self._chunks.append(chunk)
        return b""

    def finish(self) -> bytes:
        """The body to pass on; empty when it was no answer."""
        if self.error or self.finished:
            return b""
        body = b"".join(self._chunks)
        self._chunks.clear()
        self._produced_bytes = self._unreported_bytes = 0
        read = _read_json(body)
        document = read.value if read else None
        if read is None or not isinstance(document, dict):
            self._fail()
            return b""
        if error := answer_schema.error_in(document):
            self._fail(error, told=True)
            return b""
        if not answer_schema.is_body(document, self._protocol):
            self._fail(document)
            return b""
        is_openai = self._protocol is Protocol.OPENAI_CHAT
        passed = answer_schema.kept(
            document, answer_schema.OPENAI if is_openai else answer_schema.MESSAGE
        )
        written = _written(passed)
        if written is None:
            self._fail()
            return b""
        is_as_read = passed is document and read.is_clean
        if not is_as_read or members.were_lost(body, written):
            body = written
        self.finished = self._is_final = True
        self._produce(body)
        if (usage := reported.found_in(document)) is not None:
            self._report((reported.from_openai if is_openai else reported.from_anthropic)(usage))
        return body


class StreamMeter(AnswerMeter):
    """For an answer in server-sent events: whole frames pass as they come."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        choices: int = 1,
        strip_usage: bool = False,
        secrets: Sequence[str] = (),
        shapes: answer_template.Shapes | None = None,
    ) -> None:
        """`choices`: how many were asked for; `shapes`: of the same upstream's earlier streams."""
        super().__init__(protocol, secrets=secrets)
        self._strip_usage = strip_usage and protocol is Protocol.OPENAI_CHAT
        self._frames = sse.FrameBuffer()
        self._merged: dict[str, Any] = {}
        self._has_final_output = False
        # OpenAI: by index whether a choice has ended; None: it was asked for and has not begun.
        self._choices: dict[int, bool | None] = dict.fromkeys(range(choices))
        # How much had been produced when the last frame of metadata was dropped.
        self._metadata_at = -1
        is_openai = protocol is Protocol.OPENAI_CHAT
        self._shapes = shapes or answer_template.Shapes()
        self._lessons = _MAX_LESSONS
        self._read: Callable[[sse.Event, dict[str, Any]], Any] = (
            self._read_openai if is_openai else self._read_anthropic
        )

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to pass on for a chunk: whole frames, perhaps none yet."""
        if self.error or self.finished:
            return b""
        try:
            frames = self._frames.push(chunk)
        except sse.FrameTooLongError:
            self._fail()
            return b""
        return self._pass(frames) if frames else b""

    def finish(self) -> bytes:
        """The bytes to pass on when the upstream has closed the stream without a fault.

        A complete answer gets the protocol's last event where the upstream left it out.
        """
        if self.error or self.finished:
            return b""
        passed = self._pass(self._frames.rest())
        if self._is_final and not self.error and not self.finished:
            self.finished = True
            passed += sse.TERMINAL[self._protocol]
        return passed

    def _pass(self, frames: bytes) -> bytes:
        passed: list[bytes] = []
        position = 0
        while position < len(frames) and not (self.error or self.finished):
            # Most reads hold nothing but text.
            if known := self._shapes.match(frames, position):
                shape, end = known
                passed.append(self._pass_known(frames[position:end], shape))
            else:
                end = sse.end_of_first(frames, position)
                frame = frames[position:end].lstrip(b"\r\n")
                if len(frame) > sse.MAX_FRAME_BYTES:
                    self._fail()
                elif frame:
                    passed.append(self._pass_frame(frame))
            position = end
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def _pass_known(self, frames: bytes, shape: answer_template.Known) -> bytes:
        for index in shape.choices:
            if self._choices.get(index) is None:
                self._choices[index] = self._is_final = False
        self._produce(frames)
        return frames

    def _learn(self, frame: bytes, document: dict[str, Any]) -> None:
        self._lessons -= 1
        choices = document.get("choices") or ()
        self._shapes.learn(frame, map(_index_of, choices))

    def _pass_frame(self, frame: bytes) -> bytes:
        event = sse.parse(frame)
        if not event.is_event:
            # A body of JSON, where a stream was asked for, may say what went wrong.
            read = _read_json(frame)
            value = read.value if read else None
            told = isinstance(value, dict) and bool(answer_schema.error_in(value))
            self._fail(_error_of(value), told=told)
            return b""
        if sse.is_terminal(event, self._protocol) and self._protocol is Protocol.OPENAI_CHAT:
            self._end()
            return sse.TERMINAL[self._protocol] if self.finished else b""
        # Nothing, or null: a beat, as some write it.
        if event.data.strip() in (b"", b"null") and event.name != b"error":
            return b""
        read = _read_json(event.data)
        if read is None or not isinstance(read.value, dict):
            # Under a name that the protocol does not know, a frame is no part of the answer.
            if not self._is_foreign(event.name):
                self._fail()
            return b""
        if event.name == b"error" or (answer_schema.error_in(read.value)):
            self._fail(_error_of(read.value), told=True)
            return b""
        return self._pass_document(frame, event, read)

    def _end(self) -> None:
        """The last event was read. Right behind metadata, it ends only what has ended already.

        For an upstream may tell of its failure in words that nobody knows.
        """
        if self._metadata_at == self._produced_bytes and not self._is_final:
            self._fail()
        else:
            self.finished = self._is_final = True

    def _drop(self, event: sse.Event, document: dict[str, Any]) -> None:
        """A document without its protocol's shape: metadata, or the end of the stream."""
        if self._is_foreign(event.name):
            return
        is_answer = document.get("choices") is not None or reported.found_in(document) is not None
        named = upstream_error.is_error_name(event.name.decode("latin-1"))
        if is_answer or named or upstream_error.is_told_in(document):
            self._fail(document)
        self._metadata_at = self._produced_bytes

    def _pass_document(self, frame: bytes, event: sse.Event, read: _Read) -> bytes:
        passed = self._read(event, read.value)
        if passed is None or self.error:
            return b""
        is_openai = self._protocol is Protocol.OPENAI_CHAT
        name = b"" if is_openai else passed["type"].encode()
        written = _written(passed)
        if written is None:
            self._fail()
            return b""
        is_as_read = passed is read.value and read.is_clean and event.is_simple
        is_as_read = is_as_read and event.name == name
        if is_as_read and not members.were_lost(event.data, written):
            if self._lessons and not self._is_final:
                self._learn(frame, passed)
            return frame
        return b"%bdata: %b\n\n" % (b"event: %b\n" % name if name else b"", written)

    def _is_foreign(self, event_name: bytes) -> bool:
        name = event_name.decode("latin-1")
        if not name or upstream_error.is_error_name(name):
            return False
        return self._protocol is Protocol.OPENAI_CHAT or name not in answer_schema.EVENTS

    def _read_openai(self, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of a chunk; None: nothing."""
        usage = reported.found_in(document)
        is_chunk = usage is not None or document.get("object") == "chat.completion.chunk"
        if is_chunk and document.get("choices") is None:
            document = {**document, "choices": []}
        if not answer_schema.is_chunk(document):
            self._drop(event, document)
            return None
        self._produce(event.data)
        for choice in document["choices"]:
            # Some write an empty reason on every chunk: only a word ends a choice.
            index, ends = _index_of(choice), bool(choice.get("finish_reason"))
            self._choices[index] = ends or bool(self._choices.get(index))
        if len(self._choices) > _MAX_CHOICES:
            self._fail()
        if usage is not None and not document["choices"]:
            # The report behind all choices: who gives fewer than were asked for gives no more.
            self._choices = {i: ended for i, ended in self._choices.items() if ended is not None}
        self._is_final = bool(self._choices) and all(self._choices.values())
        if usage is not None:
            report = reported.from_openai(usage)
            # Counts that have begun do not fall to zero: some write zeros where they mean nothing.
            if report != NOTHING or self._reported in (None, NOTHING):
                self._report(report)
            if self._strip_usage and not document["choices"]:
                return None
        return answer_schema.kept(document, answer_schema.OPENAI)

    def _read_anthropic(self, event: sse.Event, document: dict[str, Any]) -> Any:
        """What passes of an event, by its own type; None: nothing."""
        name = event.name.decode("latin-1")
        if "type" not in document and name in answer_schema.EVENTS:
            document = {"type": name, **document}
        kind = document.get("type")
        if not isinstance(kind, str):
            self._drop(event, document)
            return None
        if kind not in answer_schema.EVENTS:
            return None
        self._produce(event.data)
        usage = reported.found_in(document)
        if kind == "message_start":
            self._merge(usage, final=False)
        elif usage is not None or kind == "message_delta":
            self._merge(usage, final=True)
        if kind == "message_delta" and _stop_reason(document):
            self._is_final = True
        elif kind == "message_stop":
            self._end()
        return answer_schema.kept(document, answer_schema.EVENTS[kind])

    def _merge(self, usage: object, *, final: bool) -> None:
        if not isinstance(usage, dict):
            return
        # A second message_start does not take back the output that a delta has reported.
        if self._has_final_output and not final:
            usage = {name: value for name, value in usage.items() if name != "output_tokens"}
        self._has_final_output |= final and usage.get("output_tokens") is not None
        reported.merge_anthropic(self._merged, usage)
        self._report(reported.from_anthropic(self._merged), has_output=self._has_final_output)


def _index_of(choice: dict[str, Any]) -> int:
    index = choice.get("index")
    return index if type(index) is int else 0


def _stop_reason(document: dict[str, Any]) -> object:
    delta = document.get("delta")
    return delta.get("stop_reason") if isinstance(delta, dict) else None


def _error_of(document: object) -> object:
    if not isinstance(document, dict):
        return document
    return answer_schema.error_in(document) or document
