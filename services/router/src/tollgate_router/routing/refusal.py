"""What an upstream's refusal means: whose fault it is that a call was not answered.

Owns the table from status and body to routing.Result. Promises: an empty account or a dead key is
the operator's, whatever status and words its vendor chose, and is never taken for the client's;
what an account may not have at all is no full rate; and a client cannot make a key look empty or
dead by words of its own that an upstream repeats, for in answers that repeat a request only codes
and a message's first words count.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from tollgate_dialects.answer import upstream_error
from tollgate_router.routing.routing import Result

# Codes and types of vendors, in lower case without separators.
_NO_FUNDS = frozenset(
    (
        "insufficientquota",  # OpenAI
        "billingnotactive",
        "billinghardlimitreached",
        "billingerror",  # Anthropic
        "insufficientbalance",  # DeepSeek, MiniMax
        "insufficientcredits",
        "insufficientfunds",
        "paymentrequired",
        "arrearage",  # DashScope
        "exceededcurrentquotaerror",  # Moonshot
        "accountoverdueerror",  # Volcengine
        "1113",  # z.ai
    )
)
_NO_FUNDS_BEGINS = re.compile(
    r"(?i)(?:error code: \d+ - )?(?:your credit balance is too low|"
    r"insufficient (?:account )?balance|you have reached your specified api usage limits|"
    r"access denied, please make sure your account is in good standing|"
    r"billing hard limit has been reached)"
)
# Where no request is repeated: anywhere in the message.
_NO_FUNDS_SAYS = re.compile(
    r"(?i)credit balance|insufficient (?:account )?(?:balance|credit|fund)|"
    r"plans? (?:and|&) billing|spending limit|used all available credits|out of credits|"
    r"past invoices|recharge|top up|account is (?:suspended|overdue|in arrears)|"
    r"overdue (?:payment|balance)|\u4f59\u989d|\u6b20\u8d39"
)
# OpenAI: reasoning that another account has sealed, or an item that it keeps.
_OTHER_ACCOUNT = "invalidencryptedcontent"
_OTHER_ACCOUNT_BEGINS = re.compile(r"(?i)item with id '[^']{1,200}' not found")
# Anthropic's 429 for what the account may not have at all: no rate, and no fault of the key.
_NEVER_BEGINS = re.compile(
    r"(?i)(?:extra usage is|usage credits are) required\b|"
    r"this request would exceed [^.]{0,120}\brate limit\b[^.]{0,120} of 0 "
)
# A rate is full again soon: Gemini speaks of billing in each of its 429s, and says when.
_SOON = re.compile(r"(?i)(?:retry|try again) (?:in|after) \d")
_RATE = frozenset(
    ("ratelimitexceeded", "ratelimiterror", "ratelimitreached", "throttling", "toomanyrequests")
)
_BAD_KEY = frozenset(
    ("invalidapikey", "apikeyinvalid", "authenticationerror", "accountdeactivated",
     "organizationrestricted", "organizationdeactivated",
     # AWS
     "unrecognizedclientexception", "expiredtokenexception", "invalidsignatureexception",
     "incompletesignatureexception", "missingauthenticationtokenexception")
)  # fmt: skip
_BAD_KEY_BEGINS = re.compile(r"(?i)(?:api key not valid|incorrect api key|invalid api[ -]key)")
# Failures of the upstream under a status of the client's: Bedrock's 408 and 424.
_FAILED = frozenset(("modeltimeoutexception", "modelerrorexception"))
# A 403 for what the client sent: OpenRouter's and DashScope's moderation, and others of its kind.
_POLICY = frozenset(
    ("contentpolicyviolation", "contentfilter", "datainspectionfailed", "moderation", "flagged")
)
_SUCCESSFUL = range(200, 300)
# Statuses that leave nothing to be read.
_SURE = frozenset((HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED))
_NOT_WORDS = re.compile(r"[^a-z0-9]")


class Judgement(NamedTuple):
    """Whose fault a refusal is, and the status under which it may be told."""

    result: Result
    status: int


def result_of(status: int) -> Result:
    """What an HTTP status alone means for an attempt."""
    if status in _SUCCESSFUL:
        return Result.OK
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Result.SERVER_ERROR
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Result.RATE_LIMITED
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Result.BAD_KEY
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return Result.OUT_OF_FUNDS
    return Result.REFUSED


def judge(status: int, body: bytes, headers: Mapping[str, str]) -> Judgement:
    """What a refusal means, by its status and its body's codes and words."""
    plain = result_of(status)
    if plain is Result.SERVER_ERROR or status in _SURE:
        return Judgement(plain, status)
    return _read(plain, status, upstream_error.words(body, headers))


def _read(plain: Result, status: int, said: upstream_error.Words) -> Judgement:
    codes = {_NOT_WORDS.sub("", code.lower()) for code in said.codes}
    if codes & _FAILED:
        return Judgement(Result.SERVER_ERROR, HTTPStatus.BAD_GATEWAY)
    repeats_request = plain is Result.REFUSED and status != HTTPStatus.PRECONDITION_FAILED
    if plain is Result.RATE_LIMITED and _NEVER_BEGINS.match(said.message):
        return Judgement(Result.REFUSED, status)
    if _is_out_of_funds(said.message, codes, repeats_request=repeats_request):
        return Judgement(Result.OUT_OF_FUNDS, HTTPStatus.PAYMENT_REQUIRED)
    if repeats_request and (codes & _BAD_KEY or _BAD_KEY_BEGINS.match(said.message)):
        return Judgement(Result.BAD_KEY, HTTPStatus.UNAUTHORIZED)
    if status == HTTPStatus.FORBIDDEN and (codes & _POLICY or said.is_flagged):
        return Judgement(Result.REFUSED, HTTPStatus.BAD_REQUEST)
    is_others = _OTHER_ACCOUNT in codes or _OTHER_ACCOUNT_BEGINS.match(said.message)
    return Judgement(Result.OTHER_ACCOUNT if repeats_request and is_others else plain, status)


def _is_out_of_funds(message: str, codes: set[str], *, repeats_request: bool) -> bool:
    if codes & _NO_FUNDS or _NO_FUNDS_BEGINS.match(message):
        return True
    is_rate = codes & _RATE or _SOON.search(message)
    return not repeats_request and not is_rate and bool(_NO_FUNDS_SAYS.search(message))
