"""Refusals and broken answers, by the model's name.

Owns everything that a provider may do instead of answering; `server` tries here first. The message
of each holds the presented key, as real providers' messages have.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tollgate_cli.demo_provider import failures
from tollgate_cli.demo_provider.failures import CANARY, Failure
from tollgate_cli.demo_provider.script import Script, numbered
from tollgate_cli.demo_provider.speech.conversation import Counts, Kind, Piece
from tollgate_cli.demo_provider.speech.speech import Speech
from tollgate_cli.demo_provider.wire import Exchange

# (exchange, the call, presented key, number at the end of the name)
Act = Callable[[Exchange, Speech, str, int | None], Awaitable[None]]

_GIANT_HEADER_BYTES: Final = 512 * 1024


def _where(key: str) -> str:
    return (
        f"(organization org-DemoAbc123456, key {key}, request req_011CDemoAbc, "
        f"see https://internal.provider.example/v1/debug?key={key})"
    )


_WORDS: Final[Mapping[int, str]] = {
    401: "Incorrect API key provided",
    404: "The model `demo-404` does not exist or you do not have access to it",
    413: "Request exceeds the maximum allowed number of bytes",
    422: "messages.0.content: value is not a valid string",
    429: "Rate limit reached for demo-gpt: Limit 30000, Used 28000, Requested 5000",
}


def _words(status: int, speech: Speech) -> str:
    if status == 400:  # noqa: PLR2004
        return speech.too_long
    return _WORDS.get(status, "The server had an error while processing your request")


async def refuse(
    exchange: Exchange,
    speech: Speech | type[Speech],
    status: int,
    message: str,
    *,
    code: str = "",
    reason: str = "",
    headers: dict[str, str] | None = None,
) -> None:
    """A refusal as the protocol has it."""
    body = speech.error(status, message, code=code)
    own = speech.error_headers(status)
    await exchange.send(status, body, reason=reason, headers={**own, **(headers or {})})


def _refusal(status: int) -> Act:
    async def act(exchange: Exchange, speech: Speech, key: str, number: int | None) -> None:
        message = f"{_words(status, speech)} {_where(key)}"
        headers = {"x-upstream-key": key}
        if status == 429:  # noqa: PLR2004
            headers["retry-after"] = str(1 if number is None else number)
        await refuse(exchange, speech, status, message, headers=headers)

    return act


async def _key_everywhere(
    exchange: Exchange, speech: Speech, key: str, _number: int | None
) -> None:
    await refuse(
        exchange,
        speech,
        500,
        f"{CANARY} {_where(key)}",
        reason=f"Failed for {key} {CANARY}",
        headers={"x-upstream-key": key, "x-canary": CANARY},
    )


async def _hang(exchange: Exchange, _s: Speech, _key: str, _n: int | None) -> None:
    await exchange.hang()


async def _reset(exchange: Exchange, _s: Speech, _key: str, _n: int | None) -> None:
    exchange.reset()


async def _html(exchange: Exchange, _s: Speech, key: str, _n: int | None) -> None:
    await exchange.send(200, _page(key), content_type="text/html")


async def _redirect(exchange: Exchange, _s: Speech, key: str, _n: int | None) -> None:
    await exchange.send(302, b"", headers={"location": f"https://elsewhere.example/?key={key}"})


async def _giant_header(exchange: Exchange, speech: Speech, _key: str, _n: int | None) -> None:
    script = Script()
    body = speech.body(script.answer(speech.question, list(script.pieces(speech.question))))
    await exchange.send(200, body, headers={"x-giant": "a" * _GIANT_HEADER_BYTES})


_ACTS: Final[Mapping[str, Act]] = {
    "demo-hang": _hang,
    "demo-reset": _reset,
    "demo-html": _html,
    "demo-redirect": _redirect,
    "demo-giant-header": _giant_header,
    "demo-500-key": _key_everywhere,
    **{
        f"demo-{status}": _refusal(status)
        for status in (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529)
    },
}


def of(model: str) -> Act | None:
    """What to do instead of answering; None: answer."""
    failure = failures.BY_NAME.get(model)
    if failure:
        return lambda exchange, speech, key, _: _fail(failure, exchange, speech, key)
    name, number = (model, None) if model in _ACTS else numbered(model)
    act = _ACTS.get(name)
    if act is None:
        return None
    return lambda exchange, speech, key, _: act(exchange, speech, key, number)


def _page(key: str) -> bytes:
    return f"<html><body><h1>Oops</h1>{key} {CANARY}</body></html>".encode()


async def _fail(failure: Failure, exchange: Exchange, speech: Speech, key: str) -> None:
    said = f"{_words(failure.status, speech)} {CANARY} {_where(key)}"
    status = failure.status
    match failure.place:
        case "body":
            await refuse(exchange, speech, status, said)
        case "header":
            headers = {"x-upstream-key": key, "x-canary": CANARY, "set-cookie": f"key={key}"}
            await refuse(exchange, speech, status, "no", headers=headers)
        case "reason":
            await refuse(exchange, speech, status, "no", reason=f"{key} {CANARY}")
        case "html":
            await exchange.send(status, _page(key), content_type="text/html")
        case "redirect":
            location = f"https://elsewhere.example/{CANARY}?key={key}"
            await exchange.send(status, b"", headers={"location": location})
        case "ok-error":
            await exchange.send(200, speech.error(500, said))
        case "bad-status-line":
            exchange.closes = True
            await exchange.raw(f"HTTP/1.1 {key} {CANARY}\r\n\r\n".encode())
        case "bad-header-line":
            exchange.closes = True
            await exchange.raw(f"HTTP/1.1 200 OK\r\n{key} {CANARY}\r\n\r\n".encode())
        case "short-body":
            exchange.closes = True
            size = len(speech.error(status, said)) + 99
            await refuse(exchange, speech, status, said, headers={"content-length": str(size)})
        case _:
            await _fail_mid_stream(failure, exchange, speech, said)


async def _fail_mid_stream(failure: Failure, exchange: Exchange, speech: Speech, said: str) -> None:
    usage = Counts(speech.question.input_tokens, 1)
    await exchange.begin_stream(speech.stream_type)
    await exchange.chunk(speech.opening(usage) + speech.say(Piece(Kind.TEXT, "Hello"), usage))
    match failure.place:
        case "mid-error":
            await exchange.chunk(speech.error_event(said))
            await exchange.end_stream()
        case "mid-garbage":
            await exchange.chunk(f"Traceback: {said}\n\n".encode())
            await exchange.end_stream()
        case "mid-reset":
            await exchange.chunk(f'data: {{"error":"{said}'.encode())
            # What was written must leave before the reset discards it.
            await asyncio.sleep(0.05)
            exchange.reset()
        case "mid-bad-chunk":
            exchange.closes = True
            await exchange.raw(f"{said}\r\nabc\r\n".encode())
