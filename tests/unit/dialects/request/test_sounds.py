"""Sound in a request and in an answer: bounded by how long it can last, priced apart, counted once."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.answer.meter import BodyMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.pricing.bound import worst_case
from tollgate_dialects.pricing.cost import cost_nano_usd
from tollgate_dialects.pricing.price import Price
from tollgate_dialects.pricing.priced import at_price
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import Usage
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import request, sounds

CHAT, GEMINI = Protocol.OPENAI_CHAT, Protocol.GEMINI
# $1 and $2 a million for words, $32 and $64 for sound.
PRICE = Price.of(
    model="m", version=1, source="seed", input_pico_usd=1_000_000, output_pico_usd=2_000_000,
    cache_read_pico_usd=100_000, cache_write_5m_pico_usd=1_000_000,
    cache_write_1h_pico_usd=1_000_000, max_input_tokens=100_000, max_output_tokens=1_000,
    audio_input_pico_usd=32_000_000, audio_output_pico_usd=64_000_000,
)  # fmt: skip
SPOKEN = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}


def wav(seconds: float, *, rate: int = 16_000, channels: int = 1, bits: int = 16, kind: int = 1,
        before: bytes = b"") -> bytes:  # fmt: skip
    each = channels * bits // 8
    sound = b"\0" * (int(seconds * rate) * each)
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * each, each, bits)
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(sound)) + sound
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def chat(data: str, **members: Any) -> dict[str, Any]:
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": [part]}],
            **members}  # fmt: skip


def read(document: dict[str, Any], protocol: Protocol = CHAT) -> request.RequestFacts:
    rules = DIALECTS[protocol].request
    return request.read(json.dumps(document).encode(), rules, rules.told("m", stream=False))


@given(
    st.integers(1, 2_000), st.sampled_from([8_000, 16_000, 44_100, 48_000]), st.integers(1, 2),
    st.sampled_from([8, 16, 24]), st.sampled_from([b"", b"LIST\x03\0\0\0abc\0"]),
)  # fmt: skip
def test_a_wav_is_never_bounded_below_what_it_lasts(ms, rate, channels, bits, before):
    """At Gemini's 32 tokens a second, rounded up for each file, and not much above it."""
    data = wav(ms / 1_000, rate=rate, channels=channels, bits=bits, before=before)
    found = sounds.most_tokens(encoded(data), "wav")
    assert found is not None
    assert ms * 32 / 1_000 <= found <= ms * 32 / 1_000 + 105


@given(st.sampled_from([8, 16, 32, 320]), st.integers(1, 200), st.booleans())
def test_an_mp3_is_never_bounded_below_what_it_lasts(kbps, frames, tagged):
    """Frames of 72 ms at MPEG-2.5's 8 kHz are the longest; even 8 kbit/s has a thousand bytes."""
    frame = (b"\xff\xe3\x18\xc4" + bytes(kbps * 9))[: kbps * 9]
    data = (b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)) * tagged + frame * frames
    found = sounds.most_tokens(encoded(data), "mp3")
    assert found is not None
    assert found >= frames * 0.072 * 32


@pytest.mark.parametrize(
    "data",
    [
        encoded(b"fLaC" + bytes(40)), encoded(b"OggS" + bytes(40)), encoded(b"\xff\xf1" + bytes(40)),
        encoded(b"ID3\x04\0\0\0\0\0\x04abcdfLaC" + bytes(40)), "", "A", "?" * 8,
        # A hertz of sound in a second, a header that says it twice, one that is packed.
        encoded(wav(1, rate=8_000)[:24] + struct.pack("<I", 1) + wav(1, rate=8_000)[28:]),
        encoded(wav(1, before=wav(1)[12:36])), encoded(wav(1, kind=17)), encoded(wav(1, kind=0xFFFE)), encoded(wav(1)[:36]),
        encoded(b"RIFF" + bytes(40)), encoded(wav(1, channels=8)), encoded(wav(1, rate=192_000)),
        encoded(wav(1, bits=64, kind=3)), encoded(wav(1)[:-1]),
        # The bytes of a second and of a sample, each said as what they are not.
        encoded(wav(1)[:28] + struct.pack("<I", 16_000) + wav(1)[32:]),
        encoded(wav(1)[:32] + struct.pack("<H", 1) + wav(1)[34:]),
    ],
)  # fmt: skip
def test_what_may_last_longer_than_it_looks_has_no_bound(data):
    """The model's own input limit is reserved, all of it at the price of sound."""
    assert (None, None) == tuple(sounds.most_tokens(data, form) for form in ("wav", "mp3"))
    facts = read(chat(data))
    assert facts.unbounded_input
    assert 100_000 * 33_000 + 10 * 2_000 == worst_case(facts, PRICE).amount_nano_usd


@given(st.binary(max_size=400))
def test_any_bytes_have_a_bound_or_none(data):
    """Nothing that a client sends makes a reader fail."""
    for start in (b"", wav(0)[:12], b"ID3", b"\xff\xe3"):
        for form in ("wav", "mp3", "flac", None, ["wav"]):
            found = sounds.most_tokens(encoded(start + data), form)
            assert found is None or found > 0


MP3 = (b"\xff\xe3\x18\xc4" + bytes(68)) * 200


@pytest.mark.parametrize(
    ("data", "form", "is_bounded"),
    [
        (wav(1), "wav", True), (wav(1), "mp3", False), (wav(1), "flac", False), (wav(1), None, False),
        (wav(1), "audio/wav", True), (wav(1), "audio/mpeg", False), (wav(1), "audio/x-wav", True),
        (MP3, "mp3", True), (MP3, "wav", False), (MP3, "audio/mpeg", True), (MP3, "audio/ogg", False),
        (wav(0) + MP3, "mp3", False), (MP3, "audio/mp3;codecs=x", False), (wav(1), {}, False),
    ],
)  # fmt: skip
def test_sound_is_bounded_as_what_it_is_declared(data, form, is_bounded):
    """A WAV's header before the frames of an MP3 says nothing of how long an MP3's decoder hears."""
    assert is_bounded is (sounds.most_tokens(encoded(data), form) is not None)
    part = {"type": "input_audio", "input_audio": {"data": encoded(data), "format": form}}
    facts = read({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert is_bounded is not facts.unbounded_input
    if isinstance(form, str) and "/" in form:
        blob = {"inlineData": {"mimeType": form, "data": encoded(data)}}
        facts = read({"contents": [{"parts": [blob]}]}, GEMINI)
        assert is_bounded is not facts.unbounded_input


def test_a_worst_case_with_sound_by_hand():
    """Ten seconds are 320 tokens and a tag; the answer's limit counts at the dearer rate."""
    facts = read(chat(encoded(wav(10)), **SPOKEN))
    assert (False, True) == (facts.unbounded_input, facts.speaks)
    assert 420 <= facts.audio_tokens <= 423
    words = facts.input_token_bound - facts.audio_tokens
    assert words < 1_000
    amount = facts.input_token_bound * 1_000 + facts.audio_tokens * 32_000 + 10 * 64_000
    assert amount == worst_case(facts, PRICE).amount_nano_usd
    assert read(chat(encoded(wav(10)), audio=SPOKEN["audio"])).speaks
    silent = read(chat(encoded(wav(10))))
    assert amount - 10 * 62_000 >= worst_case(silent, PRICE).amount_nano_usd


@pytest.mark.parametrize(
    ("document", "option", "param"),
    [
        (chat(encoded(wav(1))), "--audio-input", "messages"),
        ({"model": "m", "messages": [], **SPOKEN}, "--audio-output", "modalities"),
    ],
)
def test_trust_10_sound_without_a_price_is_refused_by_its_name(document, option, param):
    """Refused with the option that prices it; and no upstream of another protocol is asked."""
    facts = read(document)
    unpriced = Price.of(**PRICE.fields() | {"audio_input_pico_usd": 0, "audio_output_pico_usd": 0})
    with pytest.raises(BadRequest) as refused:
        at_price(facts, unpriced, is_spoken=True)
    assert (True, param) == (f"{option} DOLLARS" in refused.value.message, refused.value.param)
    assert at_price(facts, PRICE, is_spoken=True) is facts
    with pytest.raises(BadRequest):
        at_price(facts, PRICE, is_spoken=False)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"audio": {"voice": {"id": "voice_1"}, "format": "wav"}}, "audio"), ({"audio": "x"}, "audio"),
        ({"audio": {"voice": "alloy", "other": "x"}}, "audio"),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "messages"),
    ],
)  # fmt: skip
def test_sound_that_is_kept_in_the_shared_account_is_refused(members, param):
    """Earlier answers and voices that somebody made are known by an id alone."""
    with pytest.raises(BadRequest) as refused:
        read(chat(encoded(wav(1)), **members))
    assert param == refused.value.param


@pytest.mark.parametrize(
    "part",
    [
        {"type": "audio_url", "audio_url": {"url": "https://a.example/b.wav"}},
        {"type": "input_audio", "input_audio": {"data": "https://a.example/b", "format": "wav"}},
        {"type": "text", "text": "x", "input_audio": {"data": encoded(wav(1)), "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": encoded(wav(1)), "url": "x"}},
    ],
)  # fmt: skip
def test_sound_that_is_told_in_another_way_has_no_bound(part):
    """An address, a part that says it is text, a member that nobody knows."""
    facts = read({"model": "m", "messages": [{"role": "user", "content": [part]}]})
    assert facts.unbounded_input
    assert facts.audio_tokens > 10**8


def test_gemini_hears_too():
    """Inline sound is bounded like a chat's, a file at an address by the model's limit."""

    def asked(part: dict[str, Any]) -> request.RequestFacts:
        return read({"contents": [{"parts": [part]}]}, GEMINI)

    inline = asked({"inlineData": {"mimeType": "audio/wav", "data": encoded(wav(10))}})
    assert (False, True) == (inline.unbounded_input, 420 <= inline.audio_tokens <= 423)
    assert asked({"inlineData": {"mimeType": "audio/ogg", "data": "AAAA"}}).unbounded_input
    url = {"mimeType": "audio/mp3", "fileUri": "https://a.example/b.mp3"}
    assert asked({"fileData": url}).audio_tokens > 10**8


def usage_of(protocol: Protocol, document: dict[str, Any]) -> Usage:
    meter = BodyMeter(DIALECTS[protocol].answer)
    meter.feed(json.dumps(document).encode())
    assert meter.finish()
    return meter.usage


def test_tokens_of_sound_are_counted_once():
    """OpenAI and Google tell them as a part of all; what was cached of them is charged whole."""
    told = {"prompt_tokens": 100, "completion_tokens": 50,
            "prompt_tokens_details": {"audio_tokens": 60, "cached_tokens": 50},
            "completion_tokens_details": {"audio_tokens": 40}}  # fmt: skip
    choice = {"index": 0, "message": {"content": None}, "finish_reason": "stop"}
    usage = usage_of(CHAT, {"choices": [choice], "usage": told})
    wanted = Usage.of(
        cache_read_tokens=40, audio_input_tokens=60, output_tokens=10, audio_output_tokens=40
    )
    assert wanted == usage
    assert (100, 50) == (usage.total_input_tokens, usage.total_output_tokens)
    assert 40 * 100 + 60 * 32_000 + 10 * 2_000 + 40 * 64_000 == cost_nano_usd(usage, PRICE)
    # Who has no price for sound and is told of some pays for words.
    free = Price.of(**PRICE.fields() | {"audio_input_pico_usd": 0, "audio_output_pico_usd": 0})
    assert 40 * 100 + 60 * 1_000 + 50 * 2_000 == cost_nano_usd(usage, free)
    details = [{"modality": "TEXT", "tokenCount": 5}, {"modality": "AUDIO", "tokenCount": 150}]
    metadata = {"promptTokenCount": 155, "candidatesTokenCount": 7, "promptTokensDetails": details}
    heard = usage_of(GEMINI, {"candidates": [], "usageMetadata": metadata})
    assert (5, 150, 7) == (heard[Unit.INPUT], heard[Unit.AUDIO_INPUT], heard[Unit.OUTPUT])
