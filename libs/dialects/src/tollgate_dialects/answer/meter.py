"""Meters an answer while it passes: what it used, whether it ended, whether it failed.

Promises that only what its dialect lists is among the bytes to pass on, that nothing passes
after the protocol's last event and that this is there when the answer was complete; and that what
an upstream of the protocol sends passes byte for byte, less usage that the client did not ask for.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from tollgate_dialects.answer import reported, upstream_error, words
from tollgate_dialects.answer import schema as answer_schema
from tollgate_dialects.answer import template as answer_template
from tollgate_dialects.answer.answer_usage import AnswerMeter, explains
from tollgate_dialects.answer.rules import FOREIGN, AnswerRules
from tollgate_dialects.common import documents, members, sse
from tollgate_dialects.request.variants import Variant

MAX_BODY_BYTES: Final = 64 * 1024 * 1024

# Frames of one stream that are looked at for their shape.
_MAX_LESSONS = 12


class _Read(NamedTuple):
    """A JSON document of an upstream."""

    value: Any
    # Valid JSON in valid UTF-8, its names as they are read: its bytes may pass as they are.
    is_clean: bool


def _read_json(data: bytes) -> _Read | None:
    """Halves of a surrogate pair and bytes that are no UTF-8 are forgiven, other faults not."""
    try:
        return _Read(documents.exact(data), is_clean=not members.are_names_escaped(data))
    except ValueError:
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

    def __init__(self, rules: AnswerRules, *, secrets: Sequence[str] = ()) -> None:
        super().__init__(rules.text, rules.error_codes, secrets)
        self._rules = rules
        self._chunks: list[bytes] = []
        self._size_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        """Takes a chunk; a body passes at `finish`."""
        if self.error or self.finished:
            return b""
        self._size_bytes += len(chunk)
        if self._size_bytes > MAX_BODY_BYTES:
            self._chunks.clear()
            self.fail()
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
            self.fail()
            return b""
        if error := answer_schema.error_in(document):
            self.fail(error, told=True)
            return b""
        if not self._rules.is_body(document):
            self.fail(document)
            return b""
        passed = answer_schema.kept(document, self._rules.body, self.secrets)
        written = _written(passed)
        if written is None:
            self.fail()
            return b""
        is_as_read = passed is document and read.is_clean
        if not is_as_read or members.were_lost(body, written):
            body = written
        self.finished = self.is_final = True
        self.kept_as = self._rules.kept_as(document)
        found = self._rules.report(document)
        usage = None if found is None else reported.usage_of(found, self._rules.usage)
        if usage is not None and explains(usage, len(body)):
            # So would the report explain its words, which are fewer: they need no count.
            self.grow(len(body))
        elif self._rules.words:
            self.grow(words.size(passed, self._rules.words))
        else:
            self.produce(body)
        if found is not None:
            self.report(usage)
        return body


class StreamMeter(AnswerMeter):
    """For an answer in server-sent events: whole frames pass as they come."""

    def __init__(
        self,
        rules: AnswerRules,
        *,
        choices: int = 1,
        strip_usage: bool = False,
        secrets: Sequence[str] = (),
        shapes: answer_template.Shapes | None = None,
    ) -> None:
        """`choices`: how many were asked for; `shapes`: of the same upstream's earlier streams."""
        super().__init__(rules.text, rules.error_codes, secrets)
        self._rules = rules
        self._reader = rules.stream_reader(choices=choices, strip_usage=strip_usage)
        self._frames = rules.framing()
        # The choices that the last frame said more of, if it was of a known shape.
        self._going: tuple[int, ...] | None = None
        # How much had been produced when the last frame of metadata was dropped.
        self._metadata_at = -1
        self._shapes = shapes or answer_template.Shapes()
        self._lessons = _MAX_LESSONS
        # The frames from the end of the answer on, where the protocol has no last event.
        self._last = bytearray()

    @property
    def awaits_close(self) -> bool:
        """The answer is complete; what may still come is metadata, until the upstream closes."""
        return self._rules.end.waits and self._reader.has_ended and not self.error

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to pass on for a chunk: whole frames, perhaps none yet."""
        if self.error or self.finished:
            return b""
        try:
            frames = self._frames.push(chunk)
        except sse.FrameError:
            self.fail()
            return b""
        return self._pass(frames) if frames else b""

    def finish(self) -> bytes:
        """The bytes to pass on when the upstream has closed the stream without a fault.

        A complete answer gets the protocol's last event where the upstream left it out.
        """
        if self.error or self.finished:
            return b""
        try:
            rest = self._frames.rest()
            if self.awaits_close and _read_json(sse.parse(rest).data) is None:
                rest = b""  # half a frame behind a complete answer: nobody waits for it
            passed = self._pass(rest)
        except sse.FrameError:
            self.fail()
            return b""
        if self.is_final and not self.error and not self.finished:
            self.finished = True
            passed += self._last + self._rules.end.frame
        return passed

    def _pass(self, frames: bytes) -> bytes:
        passed: list[bytes] = []
        position = 0
        while position < len(frames) and not (self.error or self.finished):
            # Most reads hold nothing but text.
            told = b""
            if known := self._shapes.match(frames, position):
                shape, end = known
                told = self._pass_known(frames[position:end], shape)
            else:
                start, end = sse.frame_at(frames, position)
                frame = frames[start:end]
                if len(frame) > sse.MAX_FRAME_BYTES:
                    self.fail()
                elif frame:
                    told = self._pass_frame(frame)
            position = end
            if self._reader.has_ended and self.awaits_close:
                self._keep_last(told)
            else:
                passed.append(told)
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def _keep_last(self, frame: bytes) -> None:
        self._last += frame
        if len(self._last) > sse.MAX_FRAME_BYTES:
            self.fail()

    def _pass_known(self, frames: bytes, shape: answer_template.Known) -> bytes:
        if shape.choices is not self._going:
            self._going = shape.choices
            self._reader.serves(shape.tier)
            if self._reader.goes_on(shape.choices):
                self.is_final = False
        self.produce(frames)
        return frames

    def _learn(self, frame: bytes, document: dict[str, Any]) -> None:
        vocabulary = self._rules.vocabulary
        if vocabulary is None or self._lessons == 0:
            return
        self._lessons -= 1
        tier = document.get(Variant.PRIORITY.member)
        self._shapes.learn(frame, vocabulary, self._rules.choices(document), tier)

    def _pass_frame(self, frame: bytes) -> bytes:
        self._going = None
        event = sse.parse(frame)
        if not event.is_event:
            # A body of JSON, where a stream was asked for, may say what went wrong.
            read = _read_json(frame)
            value = read.value if read else None
            told = isinstance(value, dict) and bool(answer_schema.error_in(value))
            self.fail(_error_of(value), told=told)
            return b""
        end = self._rules.end
        if not end.is_document and end.is_last(event):
            self._end()
            return self._rules.end.frame if self.finished else b""
        # Nothing, or null: a beat, as some write it.
        if event.data.strip() in (b"", b"null") and event.name != b"error":
            return b""
        read = _read_json(event.data)
        if read is None or not isinstance(read.value, dict):
            # Under a name that the protocol does not know, a frame is no part of the answer.
            if not self._is_foreign(event.name):
                self.fail()
            return b""
        if event.name == b"error" or (answer_schema.error_in(read.value)):
            self.fail(_error_of(read.value), told=True)
            return b""
        if not read.is_clean:  # whoever looks for names in its bytes is to find them
            event = event._replace(data=_written(read.value) or event.data)
        return self._pass_document(frame, event, read)

    def _end(self) -> None:
        """The last event was read. Right behind metadata, it ends only what has ended already.

        For an upstream may tell of its failure in words that nobody knows.
        """
        if self._metadata_at == self._produced_bytes and not self.is_final:
            self.fail()
        else:
            self.finished = self.is_final = True

    def _drop(self, event: sse.Event, document: dict[str, Any]) -> None:
        """A document without its protocol's shape: metadata, or the end of the stream."""
        if self._is_foreign(event.name):
            return
        is_answer = document.get("choices") is not None or self._rules.report(document) is not None
        named = upstream_error.is_error_name(event.name.decode("latin-1"))
        if is_answer or named or upstream_error.is_told_in(document):
            self.fail(document)
        self._metadata_at = self._produced_bytes

    def _pass_document(self, frame: bytes, event: sse.Event, read: _Read) -> bytes:
        passed = self._reader.read(self, event, read.value)
        if passed is FOREIGN:
            self._drop(event, read.value)
            return b""
        if self._reader.has_ended and not self._rules.end.waits:
            self._end()
        if passed is None or self.error:
            return b""
        name = self._rules.event_name(passed)
        written = _written(passed)
        if written is None:
            self.fail()
            return b""
        form = self._rules.form
        is_as_read = passed is read.value and read.is_clean and form.is_own(frame, event, name)
        if is_as_read and not members.were_lost(event.data, written):
            if not self.is_final:
                self._learn(frame, passed)
            return frame
        return form.written(frame, name, written)

    def _is_foreign(self, event_name: bytes) -> bool:
        name = event_name.decode("latin-1")
        if not name or upstream_error.is_error_name(name):
            return False
        return name not in self._rules.events


def _error_of(document: object) -> object:
    if not isinstance(document, dict):
        return document
    return answer_schema.error_in(document) or document
