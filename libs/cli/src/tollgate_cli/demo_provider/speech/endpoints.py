"""What providers of chats answer beside chats: completions, embeddings, moderations, rerank."""

import base64
import hashlib
import re
import struct
from abc import abstractmethod
from typing import Any, Final, Self

from tollgate_cli.demo_provider.speech import openai_errors
from tollgate_cli.demo_provider.speech.conversation import (
    Answer,
    Counts,
    End,
    Piece,
    Question,
    compact,
    input_tokens,
)
from tollgate_cli.demo_provider.speech.speech import CREATED, Speech, data, limit, model_of, parsed
from tollgate_cli.demo_provider.wire import Request

_DIMENSIONS: Final = 8
# All that OpenAI's description of a moderation wants.
_CATEGORIES: Final = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit",
    "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent", "sexual",
    "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


class _Endpoint(Speech):
    """An endpoint of OpenAI's; its model is any."""

    too_long = openai_errors.TOO_LONG

    @classmethod
    def error(cls, status: int, message: str, *, code: str = "") -> bytes:
        return openai_errors.body(status, message, code)

    def error_event(self, message: str) -> bytes:
        return data(self.error(500, message))


class Completions(_Endpoint):
    """Legacy completions; every prompt has the same continuation."""

    path = re.compile(r"/v1/completions")

    def __init__(self, question: Question, *, include_usage: bool) -> None:
        super().__init__(question)
        self._include_usage = include_usage

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body)
        question = Question(
            model=model_of(asked),
            stream=asked.get("stream") is True,
            input_tokens=input_tokens(asked, "prompt"),
            max_tokens=limit(asked.get("max_tokens")),
            choices=len(_texts(asked, "prompt")) * (asked.get("n") or 1),
        )
        options = asked.get("stream_options") or {}
        return cls(question, include_usage=bool(options.get("include_usage")))

    def body(self, answer: Answer) -> bytes:
        document = self._document("".join(part.text for part in answer.parts), answer.end)
        if answer.usage is not None:
            document["usage"] = _usage(answer.usage)
        return compact(document)

    def opening(self, _usage: Counts | None) -> bytes:
        return b""

    def say(self, piece: Piece, _usage: Counts | None) -> bytes:
        return data(compact(self._document(piece.text)))

    def closing(self, end: End, usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        last = self._document("", end)
        events = [last]
        if usage is not None and usage_on_last:
            last["usage"] = _usage(usage)
        elif usage is not None and self._include_usage:
            events.append({**last, "choices": [], "usage": _usage(usage)})
        return b"".join(data(compact(event)) for event in events) + data(b"[DONE]")

    def _document(self, text: str, end: End | None = None) -> dict[str, Any]:
        finish = None if end is None else "length" if end is End.LENGTH else "stop"
        return {
            "id": "cmpl-demo",
            "object": "text_completion",
            "created": CREATED,
            "model": self.question.model,
            "choices": [
                {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
                for index in range(self.question.choices)
            ],
        }


class _Whole(_Endpoint):
    """An endpoint that says no words and does not stream."""

    # The members that are read.
    members: tuple[str, ...] = ("input",)
    reports_usage = True

    def __init__(self, asked: dict[str, Any]) -> None:
        tokens = input_tokens(asked, *self.members)
        super().__init__(
            Question(model=model_of(asked), stream=False, input_tokens=tokens, max_tokens=0)
        )
        self._asked = asked

    @classmethod
    def hear(cls, request: Request) -> Self:
        asked = parsed(request.body)
        _texts(asked, cls.members[-1])
        return cls(asked)

    def body(self, answer: Answer) -> bytes:
        document = {"id": "demo", "model": self.question.model, **self.found()}
        if answer.usage is not None and self.reports_usage:
            document["usage"] = _usage(answer.usage)
        return compact(document)

    @abstractmethod
    def found(self) -> dict[str, Any]:
        """What is answered."""

    def opening(self, _usage: Counts | None) -> bytes:
        return b""

    def say(self, _piece: Piece, _usage: Counts | None) -> bytes:
        return b""

    def closing(self, _end: End, _usage: Counts | None, *, usage_on_last: bool = False) -> bytes:
        del usage_on_last
        return b""


class Embeddings(_Whole):
    """A vector for each text; the same text has the same one."""

    path = re.compile(r"/v1/embeddings")

    def found(self) -> dict[str, Any]:
        is_packed = self._asked.get("encoding_format") == "base64"
        vectors = [_vector(text) for text in _texts(self._asked, "input")]
        told = [_packed(vector) if is_packed else vector for vector in vectors]
        listed = [
            {"object": "embedding", "index": index, "embedding": one}
            for index, one in enumerate(told)
        ]
        return {"object": "list", "data": listed}


class Moderations(_Whole):
    """Nothing is flagged, and as at OpenAI nothing said of tokens."""

    path = re.compile(r"/v1/moderations")
    reports_usage = False

    def found(self) -> dict[str, Any]:
        harmless = {
            "flagged": False,
            "categories": dict.fromkeys(_CATEGORIES, False),
            "category_scores": dict.fromkeys(_CATEGORIES, 0.0),
            "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
        }
        return {"results": [harmless for _ in _texts(self._asked, "input")]}


class Rerank(_Whole):
    """The documents as they come, each less fitting than the one before."""

    path = re.compile(r"/v1/rerank")
    members = ("query", "documents")

    def found(self) -> dict[str, Any]:
        documents = _texts(self._asked, "documents")
        ranked = [
            {"index": index, "relevance_score": round(1 / (index + 1), 3)}
            for index in range(len(documents))
        ]
        return {"results": ranked[: self._asked.get("top_n")]}


def _texts(asked: dict[str, Any], name: str) -> list[Any]:
    """One text or several. Raises ValueError for anything else."""
    value = asked.get(name)
    if not isinstance(value, str | list) or not value:
        raise ValueError(f"{name} is required")
    return [value] if isinstance(value, str) else value


def _vector(text: Any) -> list[float]:
    """Numbers between -1 and 1 that a 32-bit float holds exactly."""
    digest = hashlib.sha256(compact(text)).digest()
    return [(byte - 128) / 128 for byte in digest[:_DIMENSIONS]]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _usage(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": counts.all_input_tokens,
        "completion_tokens": counts.output_tokens,
        "total_tokens": counts.all_tokens,
        "prompt_tokens_details": {"cached_tokens": counts.cache_read_tokens},
    }
