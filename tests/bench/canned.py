"""The canned call of the bench: the request, the answer, and how a whole answer is told.

The mock upstream serves these answers and the load generator checks for them, so that a
gateway which drops, cuts or invents a byte of text is not timed.
"""

import enum
import json
from dataclasses import dataclass

CHUNKS = 40
# Distinct words: a lost or doubled chunk shows in the text.
WORDS = tuple(f"word{number:02d} " for number in range(CHUNKS))
TEXT = "".join(WORDS)
_LAST = WORDS[-1].strip().encode()
_PROMPT = (
    "A customer writes that last month's invoice lists the same workspace twice and that the "
    "export of the usage report stops half-way. Answer in one short and friendly paragraph: say "
    "what was checked, what happens next, and when they will hear from us again."
)
_MODEL = "bench"
OUTPUT_TOKENS_MAX = 256
INPUT_TOKENS = 57


class Dialect(enum.Enum):
    """A wire protocol: its path, and what a whole stream of it ends with."""

    CHAT = ("/v1/chat/completions", b"[DONE]")
    MESSAGES = ("/v1/messages", b"message_stop")

    @property
    def path(self) -> str:
        return self.value[0]

    @property
    def terminal(self) -> bytes:
        return self.value[1]

    @property
    def model(self) -> str:
        """The model's name: one for each protocol."""
        return f"{_MODEL}-{self.name.lower()}"


@dataclass(frozen=True)
class Shape:
    """What kind of call: protocol, streamed or not, and the time between a stream's chunks."""

    dialect: Dialect
    stream: bool = False
    pace_ms: int = 0
    # Of the model whose upstream speaks the other protocol.
    crossed: bool = False

    @property
    def model(self) -> str:
        """Whom the client asks for."""
        other = Dialect.CHAT if self.dialect is Dialect.MESSAGES else Dialect.MESSAGES
        return (other if self.crossed else self.dialect).model


def request_body(shape: Shape) -> bytes:
    """The client's JSON, about 380 bytes."""
    # The mock reads the pace from the prompt: every gateway passes that on unchanged.
    prompt = _PROMPT + (f" pace_ms={shape.pace_ms}" if shape.pace_ms else "")
    body: dict[str, object] = {
        "model": shape.model,
        "max_tokens": OUTPUT_TOKENS_MAX,
        "messages": [{"role": "user", "content": prompt}],
    }
    if shape.stream:
        body["stream"] = True
        if shape.dialect is Dialect.CHAT:
            body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def answer_body(dialect: Dialect) -> bytes:
    """The upstream's whole answer to a call without streaming."""
    if dialect is Dialect.MESSAGES:
        return _json(_message([{"type": "text", "text": TEXT}], "end_turn", CHUNKS))
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json(
        {**_chat("chat.completion"), "choices": [choice], "usage": _chat_usage()},
    )


def answer_events(dialect: Dialect) -> list[bytes]:
    """The upstream's stream: one element for each write; CHUNKS of them carry text."""
    return _messages_events() if dialect is Dialect.MESSAGES else _chat_events()


def looks_whole(shape: Shape, body: bytes | bytearray) -> bool:
    """The check that every timed answer must pass: all of the text is there, and the end."""
    if not shape.stream:
        return TEXT.encode() in body
    return body.count(b"data:") > CHUNKS and _LAST in body and shape.dialect.terminal in body


def text_of(shape: Shape, body: bytes) -> str:
    """The text in an answer, fully decoded: the check before anything is timed.

    Raises ValueError, KeyError or IndexError for what is no such answer.
    """
    if not shape.stream:
        answer = json.loads(body)
        if shape.dialect is Dialect.MESSAGES:
            return str(answer["content"][0]["text"])
        return str(answer["choices"][0]["message"]["content"])
    lines = [line[5:].strip() for line in body.split(b"\n") if line.startswith(b"data:")]
    events = [json.loads(line) for line in lines if line != b"[DONE]"]
    if shape.dialect is Dialect.MESSAGES:
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        return "".join(delta["text"] for delta in deltas)
    choices = [choice for event in events for choice in event["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def _chat(kind: str) -> dict[str, object]:
    return {
        "id": "chatcmpl-bench0000000000000001",
        "object": kind,
        "created": 1_760_000_000,
        "model": Dialect.CHAT.model,
        "system_fingerprint": "fp_bench",
    }


def _chat_usage() -> dict[str, int]:
    total = INPUT_TOKENS + CHUNKS
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": CHUNKS, "total_tokens": total}


def _chat_events() -> list[bytes]:
    def event(choices: list[dict[str, object]], usage: dict[str, int] | None = None) -> bytes:
        whole = {**_chat("chat.completion.chunk"), "choices": choices, "usage": usage}
        return b"data: " + _json(whole) + b"\n\n"

    def choice(delta: dict[str, str], finish: str | None = None) -> list[dict[str, object]]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    return [
        event(choice({"role": "assistant", "content": ""})),
        *(event(choice({"content": word})) for word in WORDS),
        event(choice({}, "stop")),
        event([], _chat_usage()) + b"data: [DONE]\n\n",
    ]


def _message(content: list[dict[str, str]], stop: str | None, output: int) -> dict[str, object]:
    return {
        "id": "msg_bench00000000000000001",
        "type": "message",
        "role": "assistant",
        "model": Dialect.MESSAGES.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output,
        },
    }


def _messages_events() -> list[bytes]:
    def event(kind: str, **fields: object) -> bytes:
        return f"event: {kind}\ndata: ".encode() + _json({"type": kind, **fields}) + b"\n\n"

    def delta(word: str) -> bytes:
        text = {"type": "text_delta", "text": word}
        return event("content_block_delta", index=0, delta=text)

    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        event("message_start", message=_message([], None, 1)),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(delta(word) for word in WORDS),
        event("content_block_stop", index=0),
        event("message_delta", delta=stop, usage={"output_tokens": CHUNKS}) + event("message_stop"),
    ]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
