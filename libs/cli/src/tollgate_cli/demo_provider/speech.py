"""What the demo provider says, in both protocols, with true usage.

Counting rule: the input is one token for each 4 bytes of the JSON of messages, system and tools,
at least 1; the output is one token a word, all choices together.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

_TEXT: Final = (
    "Hello from the demo provider of Tollgate. Every word here is one output token, "
    "counted and billed as such, and the same question always gets the same answer."
)
_WORDS: Final = _TEXT.split()
DEFAULT_WORDS: Final = len(_WORDS)
_CREATED: Final = 1_760_000_000


@dataclass(frozen=True)
class Counts:
    """Usage in disjoint classes, as it is billed."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def all_input_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True)
class Question:
    """What was asked, as far as the answer depends on it."""

    protocol: str
    model: str
    stream: bool
    include_usage: bool
    max_tokens: int | None
    choices: int
    input_tokens: int

    @classmethod
    def parse(cls, body: bytes, protocol: str) -> "Question":
        """Raises ValueError for a body that is no question."""
        asked = json.loads(body)
        if not isinstance(asked, dict) or not isinstance(asked.get("model"), str):
            raise ValueError("model is required")
        if not isinstance(asked.get("messages"), list):
            raise ValueError("messages must be a list")
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
        if protocol == "anthropic" and not isinstance(asked.get("max_tokens"), int):
            raise ValueError("max_tokens: Field required")
        read = {name: asked[name] for name in ("messages", "system", "tools") if name in asked}
        size = len(json.dumps(read, separators=(",", ":"), ensure_ascii=False).encode())
        return cls(
            protocol=protocol,
            model=asked["model"],
            stream=asked.get("stream") is True,
            include_usage=bool((asked.get("stream_options") or {}).get("include_usage")),
            max_tokens=limit,
            choices=asked.get("n") or 1,
            input_tokens=max(1, size // 4),
        )

    def words(self, wanted: int = DEFAULT_WORDS, *, obeys: bool = True) -> list[str]:
        """The answer's words, each with the space before it."""
        count = wanted if self.max_tokens is None or not obeys else min(wanted, self.max_tokens)
        return [word(index) for index in range(count)]


def word(index: int) -> str:
    return ("" if index == 0 else " ") + _WORDS[index % len(_WORDS)]


def usage(counts: Counts, protocol: str) -> dict[str, Any]:
    """The usage object as the protocol writes it."""
    if protocol == "anthropic":
        return {
            "input_tokens": counts.input_tokens,
            "cache_creation_input_tokens": counts.cache_write_tokens,
            "cache_read_input_tokens": counts.cache_read_tokens,
            "cache_creation": {
                "ephemeral_5m_input_tokens": counts.cache_write_tokens,
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": counts.output_tokens,
            "service_tier": "standard",
        }
    return {
        "prompt_tokens": counts.all_input_tokens,
        "completion_tokens": counts.output_tokens,
        "total_tokens": counts.all_input_tokens + counts.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": counts.cache_read_tokens,
            "cache_write_tokens": counts.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def body(question: Question, words: list[str], reported: dict[str, Any] | None) -> bytes:
    """The whole answer; `reported` is its usage object, None leaves it out."""
    text = "".join(words)
    is_cut = question.max_tokens is not None and len(words) >= question.max_tokens
    if question.protocol == "anthropic":
        answer: dict[str, Any] = {
            "id": "msg_demo",
            "type": "message",
            "role": "assistant",
            "model": question.model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "max_tokens" if is_cut else "end_turn",
            "stop_sequence": None,
        }
    else:
        answer = {
            "id": "chatcmpl-demo",
            "object": "chat.completion",
            "created": _CREATED,
            "model": question.model,
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "length" if is_cut else "stop",
                }
                for index in range(question.choices)
            ],
        }
    if reported is not None:
        answer["usage"] = reported
    return _json(answer)


def opening(question: Question, reported: dict[str, Any] | None) -> bytes:
    """The events before the first word; `reported` is usage so far, for who reports it there."""
    if question.protocol == "anthropic":
        message: dict[str, Any] = {
            "id": "msg_demo", "type": "message", "role": "assistant", "model": question.model,
            "content": [], "stop_reason": None, "stop_sequence": None,
        }  # fmt: skip
        if reported is not None:
            message["usage"] = reported
        block = {"type": "text", "text": ""}
        return _event({"type": "message_start", "message": message}) + _event(
            {"type": "content_block_start", "index": 0, "content_block": block}
        )
    return b"".join(
        _data(_chunk(question, index, {"role": "assistant", "content": ""}))
        for index in range(question.choices)
    )


def delta(question: Question, text: str) -> bytes:
    """The events of one word."""
    if question.protocol == "anthropic":
        part = {"type": "text_delta", "text": text}
        return _event({"type": "content_block_delta", "index": 0, "delta": part})
    return b"".join(
        _data(_chunk(question, index, {"content": text})) for index in range(question.choices)
    )


def closing(
    question: Question,
    words: int,
    reported: dict[str, Any] | None,
    *,
    usage_on_last: bool = False,
) -> bytes:
    """The events after the last word."""
    is_cut = question.max_tokens is not None and words >= question.max_tokens
    if question.protocol == "anthropic":
        end: dict[str, Any] = {
            "type": "message_delta",
            "delta": {"stop_reason": "max_tokens" if is_cut else "end_turn", "stop_sequence": None},
        }
        if reported is not None:
            end["usage"] = reported
        stop = _event({"type": "content_block_stop", "index": 0})
        return stop + _event(end) + _event({"type": "message_stop"})
    finish = "length" if is_cut else "stop"
    events: list[bytes] = []
    for index in range(question.choices):
        last = _chunk(question, index, {}, finish)
        if usage_on_last and index == question.choices - 1:
            last["usage"] = reported
        events.append(_data(last))
    if reported is not None and not usage_on_last and question.include_usage:
        events.append(_data({**_chunk(question, 0, {}), "choices": [], "usage": reported}))
    return b"".join(events) + b"data: [DONE]\n\n"


_ANTHROPIC_TYPES: Final = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    529: "overloaded_error",
}  # fmt: skip
_OPENAI_CODES: Final = {
    400: "context_length_exceeded", 401: "invalid_api_key", 404: "model_not_found",
    429: "rate_limit_exceeded",
}  # fmt: skip


def error(status: int, message: str, protocol: str, *, code: str = "") -> bytes:
    """The protocol's error body. `code`: OpenAI's, if it is not the status's usual one."""
    if protocol == "anthropic":
        kind = _ANTHROPIC_TYPES.get(status, "api_error")
        return _json(
            {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_demo"}
        )
    kind = "server_error" if status >= 500 else "invalid_request_error"  # noqa: PLR2004
    code = code or _OPENAI_CODES.get(status, "")
    return _json({"error": {"message": message, "type": kind, "param": None, "code": code or None}})


def error_event(message: str, protocol: str) -> bytes:
    """The protocol's error inside a stream."""
    status = 529 if protocol == "anthropic" else 500
    text = error(status, message, protocol)
    return b"event: error\ndata: %b\n\n" % text if protocol == "anthropic" else _data_raw(text)


def _chunk(
    question: Question, index: int, part: dict[str, Any], finish: str | None = None
) -> dict[str, Any]:
    chunk: dict[str, Any] = {
        "id": "chatcmpl-demo",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": question.model,
        "choices": [{"index": index, "delta": part, "logprobs": None, "finish_reason": finish}],
    }
    if question.include_usage:
        chunk["usage"] = None
    return chunk


def _event(document: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (document["type"].encode(), _json(document))


def _data(document: dict[str, Any]) -> bytes:
    return _data_raw(_json(document))


def _data_raw(text: bytes) -> bytes:
    return b"data: %b\n\n" % text


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
