"""Meters an answer while it passes: what it used, whether it ended, whether it failed.

Promises that an upstream's error text is never among the bytes to pass on, that nothing passes
after the protocol's last event, and that what passes is what came in, less usage that the client
did not ask for. Reads only events that can matter; the others are counted as bytes.

Without a usable report the output is estimated at one token for each 3 bytes of text produced, and
the input at what the caller gives: high for every language that is common, so that a cut stream is
cut early rather than late.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

import orjson

from tollgate_dialects import members, reported, sse, upstream_error
from tollgate_dialects.protocol import Protocol
from tollgate_dialects.upstream_error import UpstreamFault
from tollgate_dialects.usage import NOTHING, Usage, UsageSource

# What is odd about a report: refused counts, or far fewer output tokens than text.
Flag: TypeAlias = Literal["", "implausible", "below_output"]

MAX_BODY_BYTES: Final = 64 * 1024 * 1024

_BYTES_PER_ESTIMATED_TOKEN = 3
# A report of fewer tokens than this for the text that was seen is marked, not changed.
_MAX_BYTES_PER_TOKEN = 64
_FREE_BYTES = 256

_STRING = rb'"\s*+:\s*+"((?:[^"\\]++|\\.)*+)"'
_TEXT = {
    Protocol.OPENAI_CHAT: re.compile(
        rb'"(?:content|reasoning_content|reasoning|refusal|arguments|input)' + _STRING
    ),
    Protocol.ANTHROPIC_MESSAGES: re.compile(rb'"(?:text|partial_json|thinking|data)' + _STRING),
}
_USAGE_OBJECT = re.compile(rb'"usage"\s*+:\s*+\{')


def estimated_tokens(size_bytes: int) -> int:
    """Tokens that a text of this size is taken for."""
    return -(-size_bytes // _BYTES_PER_ESTIMATED_TOKEN)


class _Meter:
    """What both meters know of usage."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        strip_usage: bool = False,
        secrets: Sequence[str] = (),
        input_estimate_tokens: int = 0,
    ) -> None:
        self._protocol = protocol
        self._strip_usage = strip_usage and protocol is Protocol.OPENAI_CHAT
        self._secrets = tuple(secrets)
        self._input_estimate_tokens = input_estimate_tokens
        self._reported: Usage | None = None
        self._is_output_reported = False
        self._implausible = False
        # Bytes of text in all, and since the last report.
        self._produced_bytes = 0
        self._unreported_bytes = 0
        # The protocol's last event, or the whole body, was seen.
        self.finished = False
        # Set when the answer turned into an error; nothing passes from there on.
        self.error: UpstreamFault | None = None
        # The upstream said in so many words that it failed.
        self.is_failure_told = False

    @property
    def has_final_usage(self) -> bool:
        """Whether the upstream's last word on usage was read."""
        return self.usage_source is UsageSource.UPSTREAM

    @property
    def produced(self) -> bool:
        """Whether any text, reasoning or tool call was seen."""
        return self._produced_bytes > 0

    @property
    def usage_source(self) -> UsageSource:
        if self._reported is not None:
            complete = self._is_output_reported and not self._unreported_bytes
            return UsageSource.UPSTREAM if complete else UsageSource.PARTIAL
        if self._produced_bytes or self._implausible or (self.finished and not self.error):
            return UsageSource.ESTIMATED
        return UsageSource.NONE

    @property
    def usage(self) -> Usage:
        """What is charged: the report, completed or replaced as `usage_source` says."""
        source = self.usage_source
        if source is UsageSource.NONE:
            return NOTHING
        if self._reported is None:
            return Usage(input_tokens=self._input_estimate_tokens, output_tokens=self.output_units)
        if source is UsageSource.UPSTREAM:
            return self._reported
        return replace(self._reported, output_tokens=self.output_units)

    @property
    def output_units(self) -> int:
        """Output tokens so far: reported, and estimated for what was produced since."""
        unreported = estimated_tokens(self._unreported_bytes)
        if self._reported is None:
            return unreported
        if self._is_output_reported:
            return self._reported.output_tokens + unreported
        return max(self._reported.output_tokens, unreported)

    @property
    def flag(self) -> Flag:
        if self._implausible:
            return "implausible"
        if self.usage_source is UsageSource.UPSTREAM and self._reported is not None:
            explained = self._reported.output_tokens * _MAX_BYTES_PER_TOKEN + _FREE_BYTES
            return "below_output" if self._produced_bytes > explained else ""
        return ""

    def _produce(self, text: bytes) -> None:
        size = sum(map(len, _TEXT[self._protocol].findall(text)))
        self._produced_bytes += size
        self._unreported_bytes += size

    def _report(self, usage: Usage | None, *, has_output: bool = True) -> None:
        if usage is None:
            self._implausible = True
            self._reported = None
            self._unreported_bytes = self._produced_bytes
            return
        self._implausible = False
        self._reported = usage
        self._is_output_reported = has_output
        if has_output:
            self._unreported_bytes = 0

    def _fail(self, error: object = None) -> None:
        self.is_failure_told = error is not None
        self.error = upstream_error.in_stream(error, self._protocol, self._secrets)


class BodyMeter(_Meter):
    """For an answer in one JSON body: nothing passes before all of it is known to be an answer."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        strip_usage: bool = False,
        secrets: Sequence[str] = (),
        input_estimate_tokens: int = 0,
    ) -> None:
        super().__init__(
            protocol,
            strip_usage=strip_usage,
            secrets=secrets,
            input_estimate_tokens=input_estimate_tokens,
        )
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
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            self._fail()
            return b""
        if not isinstance(document, dict):
            self._fail()
            return b""
        if document.get("error") or document.get("type") == "error":
            self._fail(document.get("error"))
            return b""
        self.finished = True
        self._produce(body)
        usage = document.get("usage")
        if isinstance(usage, dict):
            is_openai = self._protocol is Protocol.OPENAI_CHAT
            read = reported.from_openai if is_openai else reported.from_anthropic
            self._report(read(usage))
        return body


class StreamMeter(_Meter):
    """For an answer in server-sent events: whole frames pass as they come."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        strip_usage: bool = False,
        secrets: Sequence[str] = (),
        input_estimate_tokens: int = 0,
    ) -> None:
        super().__init__(
            protocol,
            strip_usage=strip_usage,
            secrets=secrets,
            input_estimate_tokens=input_estimate_tokens,
        )
        self._frames = sse.FrameBuffer()
        self._merged: dict[str, Any] = {}
        self._has_final_output = False
        is_openai = protocol is Protocol.OPENAI_CHAT
        self._markers = _OPENAI_MARKERS if is_openai else _ANTHROPIC_MARKERS
        self._read: Callable[[bytes, sse.Event], bytes] = (
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
        """The bytes to pass on when the upstream has closed the stream."""
        if self.error or self.finished:
            return b""
        rest = self._frames.rest()
        return b"".join(map(self._pass_frame, sse.split(rest))) if rest.strip() else rest

    def _pass(self, frames: bytes) -> bytes:
        # Most of a read is text: only from the first event that can matter on, one by one.
        quiet = sse.quiet_part(frames, self._first_that_matters(frames))
        if quiet:
            self._produce(frames[:quiet])
            if quiet == len(frames):
                return frames
        passed = [frames[:quiet]]
        for frame in sse.split(frames[quiet:]):
            passed.append(self._pass_frame(frame))
            if self.error or self.finished:
                break
        return b"".join(passed)

    def _pass_frame(self, frame: bytes) -> bytes:
        if len(frame) > sse.MAX_FRAME_BYTES or not sse.are_frames(frame):
            self._fail()
            return b""
        self._produce(frame)
        if self._first_that_matters(frame) == len(frame):
            return frame
        return self._read(frame, sse.parse(frame))

    def _first_that_matters(self, frames: bytes) -> int:
        """Where an event may hold usage, an error, the end, or an escaped name of them.

        The size when there is none.
        """
        first = sse.first_of(frames, self._markers)
        if self._protocol is Protocol.OPENAI_CHAT and frames.find(b'"usage"', 0, first) >= 0:
            # Many upstreams write a null usage on every chunk.
            usage = _USAGE_OBJECT.search(frames, 0, first)
            return first if usage is None else usage.start()
        return first

    def _document(self, event: sse.Event) -> dict[str, Any]:
        if not event.data and event.name != b"error":
            return {}
        try:
            document = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            if b"error" in event.data or event.name == b"error":
                self._fail()
            return {}
        if event.name == b"error" or document.get("error") or document.get("type") == "error":
            self._fail(document.get("error"))
        return document

    def _read_openai(self, frame: bytes, event: sse.Event) -> bytes:
        if event.data.strip() == b"[DONE]":
            self.finished = True
            return frame
        document = self._document(event)
        if self.error:
            return b""
        usage = document.get("usage")
        if not isinstance(usage, dict):
            return frame
        self._report(reported.from_openai(usage))
        if not self._strip_usage:
            return frame
        if not document.get("choices"):
            return b""
        return _without_usage(frame, event, document)

    def _read_anthropic(self, frame: bytes, event: sse.Event) -> bytes:
        document = self._document(event)
        if self.error:
            return b""
        kind = document.get("type")
        if kind == "message_start":
            message = document.get("message")
            self._merge(message.get("usage") if isinstance(message, dict) else None, final=False)
        elif kind == "message_delta":
            self._merge(document.get("usage"), final=True)
        elif kind == "message_stop":
            self.finished = True
        return frame

    def _merge(self, usage: object, *, final: bool) -> None:
        if not isinstance(usage, dict):
            return
        # A second message_start does not take back the output that a delta has reported.
        if self._has_final_output and not final:
            usage = {name: value for name, value in usage.items() if name != "output_tokens"}
        self._has_final_output |= final and usage.get("output_tokens") is not None
        reported.merge_anthropic(self._merged, usage)
        self._report(reported.from_anthropic(self._merged), has_output=self._has_final_output)


# Each event that can matter holds one of these (some that cannot matter do, too).
_OPENAI_MARKERS = (b'"error"', b"[DONE]", b"\\u00", b"event:")
_ANTHROPIC_MARKERS = (
    b'"usage"',
    b'"error"',
    b"message_stop",
    b"\\u00",
    b"event: error",
    b"event:error",
)


def _without_usage(frame: bytes, event: sse.Event, document: Mapping[str, Any]) -> bytes:
    """The frame with a null usage and every other byte as it was."""
    if event.data_lines != 1:
        return b"data: %b\n\n" % orjson.dumps({**document, "usage": None})
    text = frame.decode("latin-1")
    start = text.index("{", text.index("data:"))
    pieces: list[str] = []
    position = 0
    for key, _, value_start, value_end in members.scan(text, start):
        if key == "usage":
            pieces += [text[position:value_start], "null"]
            position = value_end
    pieces.append(text[position:])
    return "".join(pieces).encode("latin-1")
