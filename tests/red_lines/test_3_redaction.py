"""Red line 3: what an upstream says when it fails stays at the upstream.

The canaries: the provider's own key and a second text, put by the demo provider into bodies,
headers, status lines, redirects, broken framing and the middle of streams.
"""

import concurrent.futures
import dataclasses
import itertools
import json

import httpx
import pytest

from tests import observe
from tests.demo import WIRES
from tests.failing import ABOUT_UPSTREAM, Seen, ask, publish, words_of_upstream
from tests.live import ANTHROPIC, OPENAI, PATHS, Key, Live, wait_until
from tollgate_cli.demo_provider.failures import CANARY, FAILURES, Failure
from tollgate_edge.errors.money_words import CHARGES

PROTOCOLS = {"openai": OPENAI, "anthropic": ANTHROPIC}
# Every failure on every protocol.
CASES = tuple(itertools.product(FAILURES, PROTOCOLS))
# Statuses that are the client's to act on: kept, with the upstream's words scrubbed.
DESCRIBED = (400, 404, 413, 422, 429)
# Statuses that are the operator's to act on: nobody need try again.
OPERATORS = (401, 402, 403)
# The words that clients match on, and that must survive the scrubber.
WORDS = {
    (400, "openai"): "maximum context length is 8192 tokens",
    (400, "anthropic"): "prompt is too long: 210000 tokens > 200000 maximum",
    (404, "openai"): "does not exist or you do not have access to it",
    (413, "openai"): "exceeds the maximum allowed number of bytes",
    (422, "openai"): "value is not a valid string",
    (429, "openai"): "Rate limit reached",
}


@dataclasses.dataclass(frozen=True)
class Storm:
    """Every case, asked for both as a stream and not."""

    key: Key
    seen: dict[tuple[Failure, str, bool], Seen]


@pytest.fixture(scope="module")
def storm(live: Live) -> Storm:
    public = publish(live, {(of, name): PROTOCOLS[name] for of, name in CASES})
    key = live.key(live.tenant())
    wait_until(lambda: set(public.values()) <= live.listed(key), 10)
    jobs = [(*case, stream) for case in CASES for stream in (False, True)]
    with httpx.Client(timeout=30) as client, concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda job: ask(live, client, key, public[job[:2]], WIRES[job[1]], stream=job[2]),
            jobs,
        )
        return Storm(key, dict(zip(jobs, answers, strict=True)))


@pytest.fixture(scope="module")
def forbidden(live: Live) -> tuple[str, ...]:
    return words_of_upstream(live)


each_failure = pytest.mark.parametrize(
    ("failure", "protocol"),
    CASES,
    ids=lambda of: of if isinstance(of, str) else f"{of.name}-{of.place}-{of.status}",
)


@each_failure
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_trust_15_promise_14_no_client_sees_what_an_upstream_said(
    storm: Storm, forbidden, failure: Failure, protocol: str, stream: bool
):
    """No key, canary, address or id of the upstream in body or headers."""
    seen = storm.seen[failure, protocol, stream]
    assert [] == [word for word in forbidden if word.lower() in seen.everything.lower()]


@each_failure
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_every_failure_is_an_error_of_the_table(
    storm: Storm, failure: Failure, protocol: str, stream: bool
):
    """Each failure arrives as an error that both SDKs read, or ends its stream with one."""
    seen = storm.seen[failure, protocol, stream]
    if seen.status == 200:
        assert (True, True) == (stream, failure.place.startswith("mid-"))
        event = last_event(seen.body, PROTOCOLS[protocol])
        assert "upstream_error" == observe.error_in(event)["code"]
        return
    error = observe.error_of(httpx.Response(seen.status, headers=seen.headers, content=seen.body))
    if failure.status in DESCRIBED and failure.place in ("body", "header", "reason", "html"):
        assert failure.status == seen.status
    elif failure.status in OPERATORS:
        assert (502, "provider_unavailable", None, "false") == (
            seen.status, error["code"], error["param"], seen.headers["x-should-retry"],
        )  # fmt: skip
    else:
        assert (502, "upstream_error", None) == (seen.status, error["code"], error["param"])
        # Fixed words, and what became of the money in fixed words of its own.
        fixed = "The model provider failed to answer."
        assert error["message"] in {fixed + words for words in CHARGES.values()}


@pytest.mark.parametrize(("status", "protocol"), WORDS)
def test_the_words_that_clients_match_on_survive(storm: Storm, status: int, protocol: str):
    """400, 404, 413, 422 and 429 keep their status and the words that clients recover by."""
    (failure,) = [f for f in FAILURES if (f.status, f.place, f.stream) == (status, "body", False)]
    seen = storm.seen[failure, protocol, False]
    assert (status, True) == (
        seen.status, WORDS[status, protocol] in json.loads(seen.body)["error"]["message"],
    )  # fmt: skip


@pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
def test_a_rate_limit_of_an_upstream_says_when_to_come_back(live: Live, protocol: int):
    """429 has the upstream's retry-after; until then the gateway answers for it, unasked."""
    model = live.model("demo-429-7", protocol)
    key = live.key(live.tenant())
    first, second = (live.call(key, model, protocol) for _ in range(2))
    for answer in (first, second):
        observe.error_of(answer)
        assert (429, True) == (answer.status_code, 5 <= int(answer.headers["retry-after"]) <= 7)
    asked = [c for c in observe.served(live, "demo-429-7") if c["path"] == PATHS[protocol]]
    assert 1 == len(asked)


def test_promise_07_no_failure_is_charged_for_its_words(live: Live, storm: Storm):
    """What was told to have failed is free, what is unknown is held and shows no cost;

    charged is only what a stream produced before it told of its failure.
    """
    account = live.settled(f"tenant:{storm.key.tenant_id}")
    assert account.pending_nano_usd == account.quarantined_nano_usd
    charged = 0
    for (failure, *_), seen in storm.seen.items():
        cost = seen.headers.get("x-tollgate-cost-usd")
        if seen.status != 200:
            assert cost == "0" or (cost is None and failure.status < 300), failure
            continue
        receipt = live.receipt(storm.key, seen.headers["x-tollgate-trace-id"]).json()
        charged += receipt.get("cost_nano_usd", 0)
        assert receipt["charge_reason"].startswith(("produced_before_failure", "quarantined_"))
    assert charged == account.posted_nano_usd


def test_trust_15_promise_14_no_sink_holds_a_canary(live: Live, storm: Storm):
    """No log, metric, table, Redis key, WORM file or environment has key or canary."""
    assert len(storm.seen) == 2 * len(CASES)
    words = {f"upstream's word {n}": word for n, word in enumerate(ABOUT_UPSTREAM)}
    needles = {"the provider's key": live.provider_key, "the canary": CANARY, **words}
    assert [] == observe.holding(live, needles)


# ---- prompts and answers -------------------------------------------------------------------------

MARK = "Zw9planted"
ANSWER_WORDS = "Every word here is one output token"


def planted(number: int) -> str:
    return f"{MARK}{number:02}"


def openai_body() -> dict:
    """A chat request with a canary in every leaf that a client can fill."""
    word = iter(map(planted, range(100)))
    return {
        "messages": [
            {"role": "system", "content": next(word)},
            {"role": "developer", "content": [{"type": "text", "text": next(word)}]},
            {"role": "user", "name": next(word), "content": [{"type": "text", "text": next(word)}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": next(word),
                        "type": "function",
                        "function": {
                            "name": next(word),
                            "arguments": json.dumps({next(word): next(word)}),
                        },
                    }
                ],
            },
            {"role": "tool", "tool_call_id": next(word), "content": next(word)},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": next(word),
                    "description": next(word),
                    "parameters": {
                        "type": "object",
                        "properties": {next(word): {"enum": [next(word)]}},
                    },
                },
            }
        ],
        "metadata": {next(word): next(word)},
        "user": next(word),
        "stop": [next(word)],
        "safety_identifier": next(word),
        next(word): next(word),
    }


def anthropic_body() -> dict:
    """The same for a messages request."""
    word = iter(map(planted, range(100)))
    return {
        "system": [{"type": "text", "text": next(word)}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": next(word)}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": next(word)},
                    {
                        "type": "tool_use",
                        "id": next(word),
                        "name": next(word),
                        "input": {next(word): next(word)},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": next(word),
                        "content": [{"type": "text", "text": next(word)}],
                    }
                ],
            },
        ],
        "tools": [
            {
                "name": next(word),
                "description": next(word),
                "input_schema": {"type": "object", "properties": {next(word): {}}},
            }
        ],
        "metadata": {"user_id": next(word)},
        "stop_sequences": [next(word)],
        next(word): next(word),
    }


@pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_trust_16_no_sink_holds_a_prompt_or_an_answer(live: Live, protocol: int):
    """Canaries in all leaves, in good, refused, broken and unknown calls: nowhere."""
    leaves = openai_body() if protocol == OPENAI else anthropic_body()
    names = ("demo-gpt", "demo-400", "demo-500", "demo-error-mid", "demo-reset-mid", "demo-html")
    models = live.models({name: name for name in names}, protocol)
    key = live.key(live.tenant())
    for model in models.values():
        for stream in (False, True):
            live.call(key, model, protocol, **leaves, stream=stream, max_tokens=40)
    good = live.call(key, models["demo-gpt"], protocol, **leaves, max_tokens=40)
    assert (200, True) == (good.status_code, ANSWER_WORDS in good.text)
    # Refused before anything was reserved, each in another place.
    live.call(key, planted(98), protocol, **leaves)
    live.call(key, models["demo-gpt"], protocol, **leaves, n=planted(97))
    live.call(key, models["demo-gpt"], protocol, **leaves, temperature=float("1e300"))
    live.call(live.key(live.tenant(0.000001)), models["demo-gpt"], protocol, **leaves)
    live.call("sk-xa-" + planted(96), models["demo-gpt"], protocol, **leaves)
    assert [] == observe.holding(live, {"a planted word": MARK, "an answer": ANSWER_WORDS})


def last_event(body: bytes, protocol: int) -> dict:
    """The error event that ends a stream, as the protocol writes it."""
    blocks = [b for b in body.decode().split("\n\n") if b.strip()]
    lines = blocks[-1].splitlines()
    assert "[DONE]" not in body.decode()
    assert "message_stop" not in body.decode()
    if protocol == ANTHROPIC:
        assert "event: error" == lines[0]
        lines = lines[1:]
    assert (1, True) == (len(lines), lines[0].startswith("data: "))
    document: dict = json.loads(lines[0].removeprefix("data: "))
    return document
