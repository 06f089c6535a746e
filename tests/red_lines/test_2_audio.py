"""Red line 2, sound: tokens with prices of their own are reserved, charged and told, or refused."""

import base64
import json
import struct
from collections.abc import Iterator

import pytest

from tests import upstream
from tests.live import Live

SECRET = "sk-audio-0123456789"
# $1 a million tokens in and $2 out; for sound $32 and $64.
PRICED = {"audio_input_pico_usd": 32_000_000, "audio_output_pico_usd": 64_000_000}
USAGE = {"prompt_tokens": 30, "completion_tokens": 14,
         "prompt_tokens_details": {"audio_tokens": 10, "cached_tokens": 0},
         "completion_tokens_details": {"audio_tokens": 12}}  # fmt: skip
COST_NANO_USD = 20 * 1_000 + 10 * 32_000 + 2 * 2_000 + 12 * 64_000
ANSWER = {"id": "c", "object": "chat.completion", "model": "m", "usage": USAGE, "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": None,
     "audio": {"id": "audio_1", "data": "AAAA", "transcript": "hi", "expires_at": 1}}}]}  # fmt: skip
# A second of silence.
SOUND = b"\0" * 32_000
FORM = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
WAV = (b"RIFF" + struct.pack("<I", 36 + len(SOUND)) + b"WAVEfmt " + struct.pack("<I", 16) + FORM
       + b"data" + struct.pack("<I", len(SOUND)) + SOUND)  # fmt: skip
PART = {"type": "input_audio",
        "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}}  # fmt: skip
HEARD = {"messages": [{"role": "user", "content": [PART]}]}
SPOKEN = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


@pytest.fixture(scope="module")
def scripted() -> Iterator[upstream.Upstream]:
    with upstream.running() as found:
        answer = [upstream.whole(json.dumps(ANSWER).encode())]
        found.scripts = {"priced": answer, "unpriced": answer}
        yield found


@pytest.fixture(scope="module")
def models(live: Live, scripted: upstream.Upstream) -> dict[str, str]:
    return {
        name: live.model(name, base_url=scripted.url, secret=SECRET, price=price)
        for name, price in (("priced", PRICED), ("unpriced", {}))
    }


def test_sound_is_reserved_charged_and_in_receipt_header_and_log(live: Live, models, scripted):
    """The account, the receipt from the log and the header agree with the sum done by hand."""
    key = live.key(live.tenant())
    answer = live.call(key, models["priced"], **HEARD, **SPOKEN)
    assert 200 == answer.status_code, answer.text
    assert "AAAA" == answer.json()["choices"][0]["message"]["audio"]["data"]
    assert SPOKEN.items() <= json.loads(scripted.last()).items()
    assert COST_NANO_USD == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd
    receipt = live.receipt(key, answer.headers["x-request-id"]).json()
    usage = receipt["usage"]
    assert (20, 10, 2, 12) == (
        usage["input_tokens"], usage["audio_input_tokens"], usage["output_tokens"],
        usage["audio_output_tokens"],
    )  # fmt: skip
    # A second is at most 32 tokens and a tag of 100; the answer's limit is 16.
    reserved = receipt["reservation"]["amount_nano_usd"]
    assert COST_NANO_USD == receipt["cost_nano_usd"]
    assert 132 * 32_000 + 16 * 64_000 < reserved < 132 * 32_000 + 16 * 64_000 + 2_000_000
    assert COST_NANO_USD == round(float(answer.headers["x-tollgate-cost-usd"]) * 1e9)
    assert ("30", "14") == (
        answer.headers["x-tollgate-usage-input-tokens"],
        answer.headers["x-tollgate-usage-output-tokens"],
    )


@pytest.mark.parametrize(
    ("asked", "option"), [(HEARD, "--audio-input"), (SPOKEN, "--audio-output")]
)
def test_sound_without_a_price_is_refused_by_name(live: Live, models, scripted, asked, option):
    """Nothing is asked and nothing charged; the refusal says how it gets a price."""
    key = live.key(live.tenant())
    before = len(scripted.bodies)
    refused = live.call(key, models["unpriced"], **asked)
    assert (400, True) == (
        refused.status_code, f"price set MODEL {option}" in refused.json()["error"]["message"],
    )  # fmt: skip
    assert before == len(scripted.bodies)
    assert 0 == live.settled(f"tenant:{key.tenant_id}").posted_nano_usd
