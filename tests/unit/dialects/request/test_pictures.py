"""Inline pictures are bounded by their pixels, and never hide text."""

import base64
import json
import struct

import pytest

from tollgate_dialects.anthropic.content import picture_tokens as anthropic_tokens
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import pictures, request

OPENAI = DIALECTS[Protocol.OPENAI_CHAT].request
ANTHROPIC = DIALECTS[Protocol.ANTHROPIC_MESSAGES].request


def png(width, height, *chunks):
    head = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(9)
    for kind, data in ((b"gAMA", b"abcd"), *chunks, (b"IDAT", bytes(200))):
        head += struct.pack(">I", len(data)) + kind + data + bytes(4)
    return head


def jpeg(width, height, *, metadata=0):
    segment = b"\xff\xe2" + struct.pack(">H", 60_002) + b"\xff\xc0" * 30_000
    frame = b"\xff\xc2\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(10)
    frame += b"\xff\xda" + bytes(40)
    return b"\xff\xd8" + segment * metadata + b"\xff\xc4\x00\x04ab" + b"\xff" + frame


def gif(width, height):
    """A screen of one pixel with a larger first frame, after a colour table and an extension."""
    return (b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x91\0\0" + bytes(12)
            + b"\x21\xf9\x04abcd\0" + b"\x21\xff\x02ab\x01c\0"
            + b"\x2c" + struct.pack("<HHHH", 0, 0, width, height) + bytes(30))  # fmt: skip


def webp(kind, width, height):
    rest = {
        b"VP8X": bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3],
        b"VP8L": b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14),
        b"VP8 ": bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height),
    }[kind]
    return b"RIFF" + bytes(4) + b"WEBP" + kind + bytes(4) + rest + bytes(300)


def data_url(data, kind="png"):
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()


def bound_of(protocol, *parts, text=""):
    content = [{"type": "text", "text": text}, *parts]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    return request.read(json.dumps(body).encode(), protocol)


def openai_part(data):
    return {"type": "image_url", "image_url": {"url": data_url(data)}}


def anthropic_part(data):
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(data).decode()}
    return {"type": "image", "source": source}


@pytest.mark.parametrize(
    "make",
    [png, jpeg, gif, lambda w, h: jpeg(w, h, metadata=9)]
    + [lambda w, h, kind=kind: webp(kind, w, h) for kind in (b"VP8X", b"VP8L", b"VP8 ")],
    ids=["png", "jpeg", "gif", "jpeg with metadata", "webp", "webp lossless", "webp lossy"],
)
def test_case_M10_the_size_of_a_picture_is_read_from_its_header(make):
    """PNG, JPEG, GIF and WebP: one tile is 8,500 tokens, four are 25,501, the most is 48,169."""
    for (width, height), tokens in {
        (512, 512): 8_500, (300, 200): 8_500, (1024, 1024): 25_501, (4000, 1000): 25_501,
        (2048, 768): 48_169, (16_000, 6_000): 48_169,
    }.items():  # fmt: skip
        data = make(width, height)
        found = pictures.of_data_url(data_url(data), pictures.dearest_tokens)
        assert (tokens, len(base64.b64encode(data)), tokens) == found[:3]


@pytest.mark.parametrize("size", [(1092, 1092), (2576, 2576), (8000, 8000), (20, 20)])
def test_case_M10_the_bound_is_above_every_vendors_rule(size):
    """Anthropic w*h/750 up to 4,784; Qwen-VL patches of 28; OpenAI patches of 32; Gemini tiles."""
    width, height = size
    anthropic = min(width * height // 750, 4_784)
    qwen = min(-(-width // 28) * -(-height // 28) + 2, 16_384)
    openai = min(-(-width // 32) * -(-height // 32) * 246 // 100, 12_000)
    here = pictures.of_data_url(data_url(png(*size)), pictures.dearest_tokens).tokens
    assert here >= max(anthropic, qwen, openai, 4_128)
    assert pictures.of_base64("image/png", base64.b64encode(png(*size)).decode(), anthropic_tokens)[
        0
    ] >= max(anthropic, qwen)


def test_case_M10_a_large_file_counts_as_a_picture_plus_the_text():
    """1.2 MB of base64 are 25,501 tokens at OpenAI, 1,600 to 16,384 at Anthropic, and the text."""
    data = png(1024, 1024) + bytes(900_000)
    assert 25_501 < bound_of(OPENAI, openai_part(data)).input_token_bound < 27_000
    assert 1_600 < bound_of(ANTHROPIC, anthropic_part(data)).input_token_bound < 3_000
    nested = {"type": "tool_result", "tool_use_id": "t", "content": [anthropic_part(data)]}
    assert 1_600 < bound_of(ANTHROPIC, nested).input_token_bound < 3_000
    with_text = bound_of(OPENAI, openai_part(data), text="x" * 50_000)
    assert with_text.input_token_bound > 75_501
    two = bound_of(OPENAI, openai_part(data), openai_part(data))
    assert two.input_token_bound > 51_002
    string = {"type": "image_url", "image_url": data_url(data)}
    assert bound_of(OPENAI, string).input_token_bound < 27_000
    assert bound_of(OPENAI, {**string, "type": "input_image"}).input_token_bound < 27_000


@pytest.mark.parametrize(
    "data", [b"", b"no picture", png(0, 5), png(70_000, 5), b"\xff\xd8\xff\xe0\0", b"GIF89a" + b"!" * 90]
)  # fmt: skip
def test_case_M10_an_odd_header_counts_as_the_dearest_picture(data):
    """What is not understood is not guessed."""
    assert (
        pictures.DEAREST_TOKENS
        == pictures.of_data_url(data_url(data), pictures.dearest_tokens).tokens
    )


@pytest.mark.parametrize(
    "marker", [0x00, 0x01, 0x02, 0xBF, 0xC8, *range(0xD0, 0xDA), 0xDC, 0xF0, 0xFD]
)
def test_case_M10_a_jpeg_hides_no_size_behind_a_marker_that_decoders_skip_otherwise(marker):
    """`FF 00 00 06 FF FE ...` is a segment of six bytes to some, and junk and a comment to libjpeg."""
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 60) + jpeg(1, 1)[2:].ljust(60, b"\0")
    liar = b"\xff\xd8\xff" + bytes((marker,)) + b"\x00\x06" + comment + jpeg(4_000, 4_000)[2:]
    found = pictures.of_data_url(data_url(liar, "jpeg"), pictures.dearest_tokens)
    assert (None, pictures.DEAREST_TOKENS) == (found.size, found.tokens)


@pytest.mark.parametrize("marker", [0xC4, 0xCC, 0xDB, 0xDD, *range(0xE0, 0xF0), 0xFE])
def test_case_M10_what_stands_before_a_jpegs_scan_is_skipped(marker):
    """Tables, comments and what applications say: each by its length, whatever is in it."""
    segment = b"\xff" + bytes((marker,)) + b"\0\x0d\xff\xc0" + bytes(9)
    honest = b"\xff\xd8" + segment + jpeg(40, 30)[2:]
    assert (40, 30) == pictures.of_data_url(data_url(honest), pictures.dearest_tokens).size


@pytest.mark.parametrize(
    "url",
    ["data:image/png;base64,hello world " + "x" * 999, "data:image/svg+xml,<svg>" + "x" * 999,
     "data:image/png;base64,AAAA;base64,AA!" + "x" * 999, "data:image/png;base64,AAA=A" + "x" * 999],
)  # fmt: skip
def test_case_M10_what_is_no_wellformed_base64_counts_as_text_as_well(url):
    """A picture's address is no place to hide a prompt."""
    found = pictures.of_data_url(url, pictures.dearest_tokens)
    assert (pictures.DEAREST_TOKENS, 0, pictures.DEAREST_TOKENS) == found[:3]
    for media_type in (None, 7, "text/plain", "application/pdf"):
        assert 0 == pictures.of_base64(media_type, "AAAA" * 100, anthropic_tokens).encoded_bytes


def test_case_M10_a_picture_inside_another_part_leaves_the_models_own_limit():
    """Servers that go by the object a part carries would read a picture that was not counted."""
    sneaked = {"type": "text", "text": "a", "image_url": {"url": "https://x.example/a.png"}}
    assert bound_of(OPENAI, sneaked).unbounded_input
    source = {"type": "text", "text": "a", "source": {"type": "url", "url": "u"}}
    assert bound_of(ANTHROPIC, source).unbounded_input


def lying_jpeg():
    """A small frame header hidden in a comment, which a standalone marker leads a reader into."""
    small = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 8, 8) + bytes(10) + b"\xff\xda" + bytes(9)
    comment = b"\xff\xfe" + struct.pack(">H", 65_000) + small * 1_500
    return b"\xff\xd8\xff\xd0\xff\xe0" + comment + jpeg(4000, 4000)[2:]


@pytest.mark.parametrize(
    "data",
    [
        lying_jpeg(),
        b"\xff\xd8\xff\xe0\x00\x01" + jpeg(8, 8)[2:],
        png(8, 8, (b"IHDR", struct.pack(">II", 3000, 3000) + bytes(5))),
        b"GIF89a" + struct.pack("<HH", 8, 8) + b"\0\0\0\x21\xff" + b"\x01a" * 200
        + b"\0\x2c" + struct.pack("<HHHH", 0, 0, 3000, 3000) + bytes(30),
    ],
    ids=["jpeg, alone", "jpeg, length", "png, two headers", "gif, sub-blocks"],
)  # fmt: skip
def test_case_M10_a_header_that_lies_counts_as_the_dearest_picture(data):
    """What another decoder may read as a larger picture is never bounded as a small one."""
    assert (
        pictures.DEAREST_TOKENS
        == pictures.of_data_url(data_url(data), pictures.dearest_tokens).tokens
    )


def test_case_M10_the_largest_of_two_frame_headers_counts():
    """A decoder may take either."""
    two = jpeg(8, 8)[:-42] + jpeg(2048, 768)[2:]
    assert 48_169 == pictures.of_data_url(data_url(two), pictures.dearest_tokens).tokens


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "fileid://file-fe-xxx"},
        {"role": "user", "content": "x", "images": ["aGk="]},
        {"role": "user", "content": "x", "file_ids": ["file-1"]},
        {"role": "user", "content": [{"type": "text", "text": "a", "more": [{"url": "https://x"}]}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {
            "url": data_url(png(8, 8)), "file_id": "f"}}]},
    ],
    ids=["fileid", "images", "file_ids", "list in a part", "file_id of a picture"],
)  # fmt: skip
def test_case_M10_what_the_bytes_do_not_bound_is_unbounded(message):
    """Files by name and members that no protocol knows may be more than their bytes."""
    body = json.dumps({"model": "m", "messages": [message]}).encode()
    assert request.read(body, OPENAI).unbounded_input


@pytest.mark.parametrize("name", ["chat_template", "mm_processor_kwargs"])
def test_case_M10_templates_and_processors_of_the_clients_own_are_unbounded(name):
    """They decide what a server makes of the body."""
    body = json.dumps({"model": "m", "messages": [], name: {"a": 1}}).encode()
    assert request.read(body, OPENAI).unbounded_input
