"""Whose fault a refusal is: the client's, the key's, its account's, or the upstream's."""

import json

import pytest

from tollgate_router.routing.refusal import Judgement, judge, result_of
from tollgate_router.routing.routing import Result, may_retry


@pytest.mark.parametrize(
    ("status", "result", "again"),
    [
        (200, Result.OK, False),
        (302, Result.REFUSED, False),
        (400, Result.REFUSED, False),
        (401, Result.BAD_KEY, True),
        (402, Result.OUT_OF_FUNDS, True),
        (403, Result.BAD_KEY, True),
        (404, Result.REFUSED, False),
        (413, Result.REFUSED, False),
        (429, Result.RATE_LIMITED, True),
        (500, Result.SERVER_ERROR, True),
        (529, Result.SERVER_ERROR, True),
    ],
)
def test_what_a_status_means(status, result, again):
    """Only 5xx, 429 and a key of no use are worth another key."""
    assert (result, again) == (result_of(status), may_retry(result_of(status)))
    assert Judgement(result, status) == judge(status, b"", {})


def error(message="", **more):
    return {"error": {"message": message, **more}}


QUOTA = "You exceeded your current quota, please check your plan and billing details."
NEVER = (
    "Extra usage is required for long context requests.",
    "Usage credits are required for long context requests.",
    "Usage credits are required for fast mode",
    "This request would exceed your rate limit of 0 fast mode input tokens per minute",
    "This request would exceed your organization's rate limit of 0 input tokens per minute (org: x)",
    "This request would exceed the rate limit for your organization (a-b) of 0 output tokens per",
)
ARREARS = "Access denied, please make sure your account is in good standing."


@pytest.mark.parametrize(
    ("status", "document"),
    [
        # OpenAI
        (429, error(QUOTA, type="insufficient_quota", param=None, code="insufficient_quota")),
        (429, error("Your account is not active", code="billing_not_active")),
        (400, error("Billing hard limit has been reached", code="billing_hard_limit_reached")),
        # Anthropic
        (400, {"type": "error", **error(
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
            "Billing to upgrade or purchase credits.", type="invalid_request_error")}),
        (400, error("You have reached your specified API usage limits. You will regain access on",
                    type="invalid_request_error")),
        (402, error("", type="billing_error")),
        # DashScope, its own shape and its compatible one
        (400, {"code": "Arrearage", "message": ARREARS, "request_id": "a"}),
        (400, error(ARREARS, type="Arrearage", code="Arrearage")), (403, {"message": ARREARS}),
        # DeepSeek, OpenRouter, Moonshot, z.ai, xAI, Fireworks, Volcengine, Google
        (402, error("Insufficient Balance", type="unknown_error", code="invalid_request_error")),
        (402, error("This request requires more credits, or fewer max_tokens", code=402)),
        (429, error("Your account is suspended, please check", type="exceeded_current_quota_error")),
        (429, error("Insufficient balance or no resource package. Please recharge.", code="1113")),
        (403, {"code": "The caller does not have permission", "error": "Your team has either used "
               "all available credits or reached its monthly spending limit."}),
        (412, error("Account x is suspended, possibly due to failure to pay past invoices")),
        (403, error("", code="AccountOverdueError")), (429, error(QUOTA, status="X")),
        (429, error("\u8d26\u6237\u4f59\u989d\u4e0d\u8db3")), (400, {"detail": "Insufficient balance"}),
    ],
)  # fmt: skip
def test_case_P9_an_empty_account_is_a_fault_of_the_key(status, document):
    """Whatever status and words its vendor chose: another key is asked, the client is told 402's row."""
    assert Judgement(Result.OUT_OF_FUNDS, 402) == judge(status, json.dumps(document).encode(), {})
    assert may_retry(Result.OUT_OF_FUNDS)


@pytest.mark.parametrize(
    ("status", "document", "expected"),
    [
        # A rate that speaks of money (OpenAI, Google).
        (429, error("Rate limit reached for gpt-4. Please try again in 6ms. You can increase your "
                    "rate limit by adding a payment method under plan and billing.",
                    code="rate_limit_exceeded"), (Result.RATE_LIMITED, 429)),
        (429, error(QUOTA + " Please retry in 34.4s.", code=429, status="RESOURCE_EXHAUSTED"),
         (Result.RATE_LIMITED, 429)),
        # Words of the client's own, repeated by an upstream.
        (400, error("Invalid value: 'your credit balance is too low'. insufficient_quota billing"),
         (Result.REFUSED, 400)),
        (422, {"detail": [{"loc": ["body"], "msg": "out of credits"}]}, (Result.REFUSED, 422)),
        (400, error("maximum context length is 8192 tokens", code="context_length_exceeded"),
         (Result.REFUSED, 400)),
        # Google says 400 of a bad key.
        (400, {"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.",
                         "status": "INVALID_ARGUMENT",
                         "details": [{"reason": "API_KEY_INVALID"}]}}, (Result.BAD_KEY, 401)),
        (403, error("Your key may not use this model", type="permission_error"),
         (Result.BAD_KEY, 403)),
        (403, error("Country, region, or territory not supported",
                    code="unsupported_country_region_territory"), (Result.BAD_KEY, 403)),
        # What another account has sealed or keeps (OpenAI); a client's own words are none of it.
        (400, error("The encrypted content gAAA...DQ== could not be verified.",
                    code="invalid_encrypted_content"), (Result.OTHER_ACCOUNT, 400)),
        *((status, error("Item with id 'rs_1' not found. Items are not persisted when `store` is"),
           (Result.OTHER_ACCOUNT, status)) for status in (400, 404)),
        (404, error("The model 'Item with id 'x' not found' does not exist"), (Result.REFUSED, 404)),
        (500, error("", code="invalid_encrypted_content"), (Result.SERVER_ERROR, 500)),
        # What the account may not have at all (Anthropic), and a rate that is only full.
        *((429, error(words, type="rate_limit_error"), (Result.REFUSED, 429)) for words in NEVER),
        *((429, error(words, type="rate_limit_error"), (Result.RATE_LIMITED, 429)) for words in (
            "This request would exceed your organization's rate limit of 10,000 input tokens",
            "This request would exceed the rate limit for your organization of 20 x. Of 0 left",
            "Please note: Extra usage is required for long context requests.")),
        (400, error(NEVER[0]), (Result.REFUSED, 400)), (403, error(NEVER[0]), (Result.BAD_KEY, 403)),
        # A 403 for what was sent (OpenRouter, DashScope).
        (403, error("requires moderation", code=403, metadata={"flagged_input": "x",
                                                               "reasons": ["violence"]}),
         (Result.REFUSED, 400)),
        (403, {"code": "DataInspectionFailed", "message": "inappropriate content"},
         (Result.REFUSED, 400)),
    ],
)  # fmt: skip
def test_case_P9_what_is_not_the_accounts_fault_is_not_taken_for_it(status, document, expected):
    """Rates, bad keys, policies, and the client's own words inside of a refusal."""
    assert expected == tuple(judge(status, json.dumps(document).encode(), {}))


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"<html>billing", b'{"error":[]}', b"\xff"])
def test_a_body_that_says_nothing_leaves_the_status(body):
    """No shape of a body makes the judge fail."""
    for status in (302, 400, 403, 412, 429, 500):
        assert Judgement(result_of(status), status) == judge(status, body, {})


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "ValidationException", Judgement(Result.REFUSED, 400)),
        (403, "AccessDeniedException", Judgement(Result.BAD_KEY, 403)),
        (403, "UnrecognizedClientException", Judgement(Result.BAD_KEY, 403)),
        (400, "ExpiredTokenException", Judgement(Result.BAD_KEY, 401)),
        (400, "InvalidSignatureException", Judgement(Result.BAD_KEY, 401)),
        (404, "ResourceNotFoundException", Judgement(Result.REFUSED, 404)),
        (408, "ModelTimeoutException", Judgement(Result.SERVER_ERROR, 502)),
        (424, "ModelErrorException", Judgement(Result.SERVER_ERROR, 502)),
        (429, "ThrottlingException", Judgement(Result.RATE_LIMITED, 429)),
        (429, "ModelNotReadyException", Judgement(Result.RATE_LIMITED, 429)),
        (503, "ServiceUnavailableException", Judgement(Result.SERVER_ERROR, 503)),
    ],
)
def test_what_aws_says_is_in_a_header(status, kind, expected):
    """A dead key and a model that failed are told apart from a bad request."""
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"}
    assert expected == judge(status, b'{"message":"words"}', headers)
