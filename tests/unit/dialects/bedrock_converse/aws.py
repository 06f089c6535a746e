"""AWS's own SDK as the judge: what it would send, sign and read."""

import base64
import functools
import re
import struct
import zlib

import botocore.auth
import botocore.session
import orjson
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStream
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.bedrock_converse.dialect import BEDROCK_CONVERSE
from tollgate_dialects.common import sse
from tollgate_dialects.conversation.machine import Machine

RULES = BEDROCK_CONVERSE.answer
TRANSLATION = BEDROCK_CONVERSE.translation


@functools.cache
def service():
    return botocore.session.Session().get_service_model("bedrock-runtime")


# ---- requests ------------------------------------------------------------------------------------


def check_request(document, model="us.amazon.nova-lite-v1:0"):
    """A document is what the SDK's own shape of the operation takes, to the letter."""
    shape = service().operation_model("Converse").input_shape
    asked = _with_bytes({"modelId": model, **document}, shape)
    report = ParamValidator().validate(asked, shape)
    assert not report.has_errors(), report.generate_report()
    _check(asked, shape, "")


def _with_bytes(value, shape):
    """The document as a caller of the SDK writes it: bytes where JSON has base64."""
    if getattr(shape, "is_document_type", False):
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        assert value.keys() <= shape.members.keys(), value.keys() - shape.members.keys()
        return {name: _with_bytes(one, shape.members[name]) for name, one in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_with_bytes(one, shape.member) for one in value]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    return value


def _check(value, shape, place):
    """Words, patterns and unions, which the SDK leaves to the service."""
    if getattr(shape, "is_document_type", False):
        return
    if shape.type_name == "structure":
        if getattr(shape, "is_tagged_union", False):
            assert 1 == len(value), place
        for name, one in value.items():
            _check(one, shape.members[name], f"{place}.{name}")
    elif shape.type_name == "list":
        for one in value:
            _check(one, shape.member, place)
    elif shape.type_name == "string" and shape.name != "ConversationalModelId":
        assert not shape.enum or value in shape.enum, (place, value)
        pattern = shape.metadata.get("pattern")
        assert pattern is None or re.fullmatch(pattern, value), (place, value)
        assert len(value) <= shape.metadata.get("max", 10**9), place


# ---- signatures ----------------------------------------------------------------------------------


class _Signer(botocore.auth.SigV4Auth):
    """The SDK's own, at a time of ours."""

    def sign(self, request, now):
        request.context["timestamp"] = now
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        signature = self.signature(self.string_to_sign(request, canonical), request)
        self._inject_signature_to_request(request, signature)


def signed_by_the_sdk(url: str, body: bytes, credentials, region: str, now: str) -> dict[str, str]:
    """The headers that the SDK adds to a POST of a body."""
    request = AWSRequest("POST", url, data=body)
    _Signer(Credentials(*credentials), "bedrock", region).sign(request, now)
    return dict(request.headers.items())


# ---- answers -------------------------------------------------------------------------------------


def parsed_body(body: bytes):
    """A whole answer as the SDK reads it."""
    shape = service().operation_model("Converse").output_shape
    parser = create_parser("rest-json")
    found = parser.parse({"status_code": 200, "headers": {}, "body": body}, shape)
    del found["ResponseMetadata"]
    return found


class _Raw:
    def __init__(self, raw):
        self._raw = raw

    def stream(self):
        return iter([self._raw])

    def close(self):
        pass


def parsed_stream(raw: bytes):
    """A stream's events as the SDK reads them."""
    shape = service().operation_model("ConverseStream").output_shape.members["stream"]
    parser = create_parser("rest-json")
    return list(EventStream(_Raw(raw), shape, parser._event_stream_parser, "ConverseStream"))


def message(payload: bytes, **headers: str) -> bytes:
    """One message of an event stream; header names with `_` for `-`, without their colon."""
    packed = b""
    for name, value in headers.items():
        full, text = f":{name.replace('_', '-')}".encode(), value.encode()
        packed += bytes([len(full)]) + full + b"\x07" + struct.pack(">H", len(text)) + text
    size = 16 + len(packed) + len(payload)
    prelude = struct.pack(">II", size, len(packed))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    whole = prelude + packed + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(name: str, **members) -> bytes:
    return message(
        orjson.dumps({**members, "p": "abcd"}),
        event_type=name,
        content_type="application/json",
        message_type="event",
    )


def exception(name: str, text: str) -> bytes:
    return message(
        orjson.dumps({"message": text}),
        exception_type=name,
        content_type="application/json",
        message_type="exception",
    )


def text(words: str, index: int = 0) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta={"text": words})


def end(reason: str = "end_turn", **usage: int) -> bytes:
    counts = {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, **usage}
    return event("messageStop", stopReason=reason) + event(
        "metadata", usage=counts, metrics={"latencyMs": 1}
    )


# ---- through our own hands -----------------------------------------------------------------------


def metered(raw: bytes, size: int = 1_000_000):
    """A stream through its meter, in chunks of a size: the meter, and what passed."""
    meter = StreamMeter(RULES)
    passed = b"".join(meter.feed(raw[at : at + size]) for at in range(0, len(raw), size))
    return meter, passed + meter.finish()


def metered_body(body: bytes):
    meter = BodyMeter(RULES)
    meter.feed(body)
    return meter, meter.finish()


def events_in(frames: bytes):
    """What the reader of streams tells of whole frames."""
    reader, told, position = TRANSLATION.event_reader(), [], 0
    while position < len(frames):
        start, position = sse.frame_at(frames, position)
        told += reader.read(sse.parse(frames[start:position]))
    return told


def answer_in(frames: bytes):
    """What a metered stream adds up to."""
    machine = Machine()
    for told in events_in(frames):
        machine.check(told)
    return machine.answer()
