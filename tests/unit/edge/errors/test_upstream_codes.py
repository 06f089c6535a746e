"""The codes of an upstream's error that a client is told: words of its protocol, and no others."""

import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import Code
from tollgate_dialects.registry import DIALECTS
from tollgate_edge.api.faces import anthropic_api, gemini_api, openai_api
from tollgate_edge.errors import public_errors

FACES = (
    openai_api.FACE, openai_api.RESPONSES_FACE, openai_api.DASHSCOPE_FACE, anthropic_api.FACE,
    gemini_api.FACE,
)  # fmt: skip
STATUSES = (400, 404, 413, 422, 429)
# What upstreams have said, or may say, as a code.
LEAKS = ("gpu-node-17", "InternalError.Algo.Pod", "Deployment.East2", "acme_prod", "gpt-4o-eu")


def told(face, status, code, param=""):
    """The error of an upstream as a client of a protocol gets it: plain, and within a stream."""
    shape = face.dialect.errors
    refusal = public_errors.upstream_failure(
        "UPSTREAM_ERROR",
        status=status,
        message="words",
        code=code,
        param=param,
        retry_after_ms=None,
    )
    body = public_errors.body(
        refusal, kind=shape.kind(refusal.status), codes=shape.codes, params=shape.params,
        trace_id="T", request_id="R",
    )  # fmt: skip
    data = orjson.dumps(shape.body(body, refusal.status))
    return data + shape.event(data)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.protocol.value)
@pytest.mark.parametrize("status", STATUSES)
@given(code=st.sampled_from(LEAKS) | st.from_regex(re.compile(r"[A-Za-z0-9_.\-]{1,64}", re.ASCII)))
def test_red_line_3_a_code_of_the_upstreams_own_is_told_nobody(face, status, code):
    """Under all five protocols the client is told what it is where the upstream gave no code."""
    known = code in face.dialect.errors.codes or code in set(Code)
    assert (told(face, status, code) == told(face, status, "")) or known
    assert known or len(code) < 5 or code.lower().encode() not in told(face, status, code).lower()


@pytest.mark.parametrize(
    ("face", "status", "code", "place"),
    [
        (openai_api.FACE, 400, "context_length_exceeded", b'"code":"context_length_exceeded"'),
        (openai_api.RESPONSES_FACE, 400, "invalid_prompt", b'"code":"invalid_prompt"'),
        (openai_api.DASHSCOPE_FACE, 400, "DataInspectionFailed", b'"code":"DataInspectionFailed"'),
        (gemini_api.FACE, 400, "FAILED_PRECONDITION", b'"reason":"FAILED_PRECONDITION"'),
        (anthropic_api.FACE, 400, "invalid_request_error", b'"code":"invalid_request_error"'),
    ],
)
def test_codes_that_clients_act_on_stay(face, status, code, place):
    """A word of the client's protocol passes, whichever upstream said it."""
    assert place in told(face, status, code)


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.protocol.value)
def test_what_router_says_itself_is_told(face):
    """A protocol that cannot carry the request is no upstream's word."""
    code = Code.UNSUPPORTED_PARAMETER.value
    assert code.encode() in told(face, 400, code).lower()


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.protocol.value)
@given(
    param=st.sampled_from((*LEAKS, "prod-eastus2-backend", "db01.int", "model.gpt-4o-eu"))
    | st.from_regex(re.compile(r"[A-Za-z0-9_.\-\[\]]{5,64}", re.ASCII), fullmatch=True)
)
def test_red_line_3_a_parameter_of_the_upstreams_own_is_told_nobody(face, param):
    """What begins with no member of the client's request is not told; what does is one."""
    known = re.split(r"[.\[]", param)[0] in face.dialect.errors.params
    assert known or told(face, 400, "", param) == told(face, 400, "")
    if "-" in param:
        assert param.encode() not in told(face, 400, "", param)


@pytest.mark.parametrize(
    ("face", "param"),
    [
        (openai_api.FACE, "messages[0].content"),
        (openai_api.RESPONSES_FACE, "input"),
        (openai_api.DASHSCOPE_FACE, "parameters.temperature"),
        (gemini_api.FACE, "generation_config.temperature"),
        (anthropic_api.FACE, "messages.0.content"),
    ],
)
def test_a_member_of_the_clients_request_is_told(face, param):
    """SDKs show it, and users mend it."""
    assert param.encode() in told(face, 400, "", param)


def test_every_protocol_has_a_closed_list():
    """Each of the five names its own words, in letters that need no escape."""
    for face in FACES:
        codes = DIALECTS[Protocol(face.protocol)].errors.codes
        assert codes
        assert all(re.fullmatch(r"[A-Za-z0-9_.]+", code) for code in codes)
