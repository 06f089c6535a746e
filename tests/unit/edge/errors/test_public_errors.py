"""The table of public errors: every reason of the suite has a row, and the rows keep the rules."""

import dataclasses

import pytest

from tollgate.authz.v1 import authz_pb2
from tollgate.budget.v1 import budget_pb2
from tollgate.common.v1 import errors_pb2
from tollgate.router.v1 import router_pb2
from tollgate_dialects.request.request import BadRequest, Code
from tollgate_edge.api.faces import anthropic_api, openai_api
from tollgate_edge.errors import money_words, public_errors

UNSPECIFIED = "UNSPECIFIED"
FACES = (openai_api.FACE, anthropic_api.FACE)
# What each protocol's SDKs know: the error types and codes of the vendors' API references.
KINDS = {
    openai_api.FACE.path: {
        "invalid_request_error", "authentication_error", "insufficient_quota",
        "permission_error", "rate_limit_error", "server_error",
    },
    anthropic_api.FACE.path: {
        "invalid_request_error", "authentication_error", "billing_error", "permission_error",
        "not_found_error", "conflict_error", "request_too_large", "rate_limit_error",
        "api_error", "timeout_error", "overloaded_error",
    },
}  # fmt: skip


SHORTFALL = money_words.Shortfall("key:k1", 120_000_000, 500_000_000, 300_000_000)


@pytest.mark.parametrize(
    ("message", "param", "told"),
    [
        ("This number is too large.", "top_p", "top_p: This number is too large."),
        ("max_tokens is required.", "max_tokens", "max_tokens is required."),
        ("Send it without thread.", "thread", "Send it without thread."),
        ("A stream has one choice here.", "n", "n: A stream has one choice here."),
        ("Not max_tokens.", "tokens", "tokens: Not max_tokens."),
        ("Not this.", "a.b", "a.b: Not this."),
        ("The body is not valid JSON.", "", "The body is not valid JSON."),
        ("Not plain.", "a\r\nb", "Not plain."),
    ],
)
def test_the_message_names_the_parameter(message, param, told):
    """Many clients show nothing else of an error; what names it already is left as it is."""
    bad = BadRequest(Code.INVALID_VALUE, message, param)
    assert told == public_errors.bad_request(bad).message


def names(enum, prefix):
    return {name.removeprefix(prefix) for name in enum.keys()} - {UNSPECIFIED}  # noqa: SIM118


def every_refusal():
    """One refusal for every reason that can arise."""
    for name in public_errors.OWN:
        yield public_errors.own(name)
    for name in names(errors_pb2.ErrorReason, "ERROR_REASON_"):
        yield public_errors.rpc_failure(name)
    for name in names(authz_pb2.DenialReason, "DENIAL_REASON_"):
        yield public_errors.authz_denial(name)
    for name in names(budget_pb2.DenialReason, "DENIAL_REASON_"):
        yield public_errors.money_denial(name, SHORTFALL)
    yield public_errors.rate_denial(limit="60 requests per minute", rates=None, retry_after_ms=1)
    for name in names(router_pb2.EndReason, "END_REASON_"):
        for status in (0, 200, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 529):
            yield public_errors.upstream_failure(
                name, status=status, message="", code="", param="", retry_after_ms=None
            )
    for code in Code:
        yield public_errors.bad_request(BadRequest(code, "fixed text"))


@pytest.mark.parametrize(
    ("table", "enum", "prefix", "without"),
    [
        (public_errors.RPC_FAILURES, errors_pb2.ErrorReason, "ERROR_REASON_", set()),
        (public_errors.AUTHZ_DENIALS, authz_pb2.DenialReason, "DENIAL_REASON_", set()),
        (public_errors.BUDGET_DENIALS, budget_pb2.DenialReason, "DENIAL_REASON_", set()),
        (public_errors.END_REASONS, router_pb2.EndReason, "END_REASON_", {"COMPLETED"}),
    ],
)
def test_every_reason_has_its_row_and_no_row_is_left_over(table, enum, prefix, without):
    """The tables and the enums of the protos are the same lists."""
    assert names(enum, prefix) - without == set(table)


def test_a_reason_nobody_listed_is_502_with_fixed_words():
    """Unknown reasons say nothing of themselves."""
    refusal = public_errors.rpc_failure("SOMETHING_NEW")
    assert (502, "upstream_error") == (refusal.status, refusal.error.code)


def test_statuses_keep_the_rules():
    """401 is only for a key; 402 for money, retried only where calls in flight hold it; 503 is ours

    and retried, unless the model has done its work already.
    """
    bad_keys = {"UNKNOWN_KEY", "REVOKED", "EXPIRED", "DISABLED"}
    for refusal in every_refusal():
        status = refusal.status
        if status == 401:
            assert refusal.reason in bad_keys or refusal.reason.startswith("KEY_")
        if status == 402:
            assert (refusal.reason == "BUDGET_HELD") == refusal.error.retryable
        if status == 503:
            assert (refusal.reason != "AUDIT_LATE") == refusal.error.retryable
        assert 400 <= status <= 504


def test_every_body_satisfies_both_sdks():
    """Each refusal has the two envelopes at once, a plain code, a kind of its protocol."""
    for refusal in every_refusal():
        for face in FACES:
            kind = face.dialect.errors.kind(refusal.status)
            body = public_errors.body(refusal, kind=kind, trace_id="T", request_id="R")
            error = body["error"]
            assert ("error", "R", "T") == (body["type"], body["request_id"], error["trace_id"])
            assert {"type", "code", "message", "param", "trace_id"} <= set(error)
            assert kind in KINDS[face.path]
            assert error["message"].isascii()
            assert str(error["code"]).replace("_", "").isalnum()


def test_upstream_words_pass_only_where_clients_recover_from_them():
    """5xx, 401 and 403 of an upstream have fixed text; 400, 404, 413, 422, 429 keep theirs."""
    for status in (400, 404, 413, 422, 429):
        refusal = public_errors.upstream_failure(
            "UPSTREAM_ERROR", status=status, message="words", code="c", param="p",
            retry_after_ms=5,
        )  # fmt: skip
        assert (status, "words", 5) == (refusal.status, refusal.message, refusal.retry_ms)
    for status in (0, 401, 402, 403, 409, 500, 503, 529):
        refusal = public_errors.upstream_failure(
            "UPSTREAM_ERROR", status=status, message="words", code="c", param="p",
            retry_after_ms=5,
        )  # fmt: skip
        body = public_errors.body(refusal, kind="k", trace_id="", request_id="")
        is_operators = status in (401, 402, 403)
        code = "provider_unavailable" if is_operators else "upstream_error"
        assert (502, code) == (refusal.status, refusal.error.code)
        assert "words" not in str(body)
    timeout = public_errors.upstream_failure(
        "UPSTREAM_TIMEOUT", status=400, message="words", code="", param="", retry_after_ms=None
    )
    assert (504, False) == (timeout.status, "words" in timeout.message)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_case_P10_a_key_of_no_use_is_not_tried_again_by_the_client(status):
    """A dead key or an empty account of the operator: fixed words, no retry, no vendor's billing."""
    refusal = public_errors.upstream_failure(
        "UPSTREAM_ERROR", status=status, message="pay your bill", code="billing", param="p",
        retry_after_ms=5,
    )  # fmt: skip
    assert (502, "provider_unavailable", False, None) == (
        refusal.status, refusal.error.code, refusal.error.retryable, refusal.retry_ms,
    )  # fmt: skip
    assert ("", "") == (refusal.upstream_message, refusal.upstream_code)


def test_a_rate_that_never_fits_is_not_retried():
    """Where budget names no time, waiting does not help."""
    refusal = public_errors.rate_denial(
        limit="9 tokens per minute", rates=None, retry_after_ms=None, tokens=96_000
    )
    assert refusal.message == (
        "This call alone counts as 96000 tokens, which is above the rate limit: "
        "give a smaller max_tokens. It allows 9 tokens per minute."
    )
    assert (429, False, None) == (refusal.status, refusal.error.retryable, refusal.retry_ms)


def test_case_B6_402_and_429_name_the_account_and_the_amount():
    """Which account, what is left, what is held, what the call may cost; and which rate."""
    held = public_errors.money_denial("BUDGET_HELD", SHORTFALL)
    body = public_errors.body(held, kind="k", trace_id="", request_id="")["error"]
    assert ("key:k1", "0.12", "0.5", "0.3") == (
        body["account"], body["remaining_usd"], body["held_usd"], body["required_usd"],
    )  # fmt: skip
    assert all(word in body["message"] for word in ("key:k1", "0.12 USD", "0.5 USD", "0.3 USD"))
    rate = public_errors.rate_denial(
        limit="60 requests per minute", rates=None, retry_after_ms=1500
    )
    body = public_errors.body(rate, kind="k", trace_id="", request_id="")["error"]
    assert "60 requests per minute" == body["limit"]
    assert "60 requests per minute" in body["message"]


def test_case_M8_what_calls_in_flight_hold_is_worth_waiting_for():
    """Its own code, retryable, with a retry-after; what is spent is neither."""
    held = public_errors.money_denial("BUDGET_HELD", SHORTFALL)
    assert (402, "budget_held", True, 1000) == (
        held.status, held.error.code, held.error.retryable, held.retry_ms,
    )  # fmt: skip
    spent = public_errors.money_denial("BUDGET_EXHAUSTED", SHORTFALL)
    assert (402, "budget_exhausted", False, None) == (
        spent.status, spent.error.code, spent.error.retryable, spent.retry_ms,
    )  # fmt: skip


def test_case_M6_a_call_that_was_made_is_not_said_to_have_been_not_made():
    """Audit was late: no invitation to try again, and what became of the money is told."""
    late = dataclasses.replace(public_errors.own("AUDIT_LATE"), charge="charged")
    body = public_errors.body(late, kind="k", trace_id="T", request_id="")["error"]
    assert (503, False, "charged", "T") == (
        late.status, late.error.retryable, body["charge"], body["trace_id"],
    )  # fmt: skip
    assert "was made" in body["message"]
    assert "is charged" in body["message"]
