"""What may be said of an upstream's failure.

Promises that of a 5xx, a 401, a 403 or any other status not listed here nothing is said at all, and
that of a 400, 404, 413, 422 or 429 only the scrubbed message and plain-word code and parameter
remain: clients recover by those words. Carries no header, address or body to anybody but `words`.
"""

import re
from calendar import timegm
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple

import orjson

from tollgate_dialects.common.scrub import REDACTED, scrub

DESCRIBED_STATUSES: Final = frozenset((400, 404, 413, 422, 429))
# More faults of one request than anybody reads.
_MAX_DETAILS = 5
# Larger bodies are no error message.
_MAX_BODY_BYTES = 256 * 1024
# Where AWS says what an error is.
_AWS_KIND: Final = "x-amzn-errortype"
_MAX_RETRY_AFTER_MS = 24 * 3_600 * 1_000

# Where vendors write their error, and its words: the first that is there.
_HOLDERS: Final = ("error", "errors", "detail")
_MESSAGES: Final = (
    "message",
    "Message",
    "detail",
    "msg",
    "error_description",
    "error_msg",
    "reason",
    "title",
)
_TELLING: Final = frozenset((*_HOLDERS, *_MESSAGES, "code", "status_code", "status_msg"))
# A name that speaks of an error by itself.
_ERROR_NAME = re.compile(r"error|fail|exception", re.IGNORECASE)

_TOO_LONG = re.compile(
    r"(?:prompt|input) (?:is|was) too long|maximum context length|context (?:window|length)"
    r"|input token count[^.]{0,60}exceeds|too many input tokens|input length should be",
    re.IGNORECASE,
)
_CODE = re.compile(r"[A-Za-z0-9_.\-]{1,64}\Z")
_PARAM = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,64}\Z")
_SECONDS = re.compile(r"(\d{1,9})(?:\.(\d{1,3})\d*)?\Z")
_LIMIT_LEFT = re.compile(r"(anthropic-ratelimit-[a-z\-]{1,64})-remaining\Z")
# More than a date has.
_DATE_CHARACTERS_MAX: Final = 64
# RFC 3339's; a fraction of a second is nobody's wait.
_MOMENT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|([+-]\d\d):(\d\d))\Z"
)
_MILLISECONDS = re.compile(r"(\d{1,12})(?:\.\d*)?\Z")

# What an error inside a stream would have had as its status; 0: not known here.
_STATUS_OF_TYPE: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "insufficient_quota": 402,
    "insufficient_balance": 402,
    "exceeded_current_quota_error": 402,
    "Arrearage": 402,
    "InvalidParameter": 400,
    "DataInspectionFailed": 400,
    "InvalidApiKey": 401,
    "AccessDenied": 403,
    "AccessDenied.Unpurchased": 403,
    "Model.NotExist": 404,
    "ModelNotFound": 404,
    "Throttling": 429,
    "Throttling.RateQuota": 429,
    "Throttling.AllocationQuota": 429,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "GatewayTimeout": 504,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    # In AWS's streams.
    "validationException": 400,
    "throttlingException": 429,
    "internalServerException": 500,
    "modelStreamErrorException": 500,
    "serviceUnavailableException": 503,
    "modelTimeoutException": 504,
}


class Description(NamedTuple):
    """Empty where nothing may be said."""

    message: str = ""
    code: str = ""
    param: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFault:
    """A failure inside an answer that began well. `http_status` is 0 when none can be named."""

    http_status: int = 0
    message: str = ""
    code: str = ""
    param: str = ""


class Words(NamedTuple):
    """What an upstream wrote of a refusal, unscrubbed: to judge by, never to pass on."""

    codes: tuple[str, ...] = ()
    message: str = ""
    # The request's content was judged, and not its sender.
    is_flagged: bool = False


def is_error_name(name: str) -> bool:
    """Return True for the name of an event, member or kind that contains a word for an error."""
    return _ERROR_NAME.search(name) is not None


def is_told_in(document: Mapping[str, Any]) -> bool:
    """Return True if a document that is no answer has an error under any name known here."""
    kinds = (document.get(name) for name in ("type", "object", "status"))
    if any(isinstance(k, str) and (k in _STATUS_OF_TYPE or is_error_name(k)) for k in kinds):
        return True
    inner = document.get("base_resp")  # MiniMax
    members = [*document.items(), *(inner.items() if isinstance(inner, dict) else ())]
    return any(value and (name in _TELLING or is_error_name(name)) for name, value in members)


def describe(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    codes: Sequence[str],
    secrets: Sequence[str] = (),
) -> Description:
    """The scrubbed message, code and parameter of a refused call.

    `codes`: where the dialect has an error's code, the first that is a plain word.
    """
    if status not in DESCRIBED_STATUSES:
        return Description()
    return _described(_error_of(_document(body, headers)), codes, secrets)


def words(body: bytes, headers: Mapping[str, str]) -> Words:
    """The codes and the message of a refusal, whoever wrote it."""
    document = _document(body, headers)
    error = _error_of(document)
    if not isinstance(error, dict):
        return Words(message=error if isinstance(error, str) else "")
    holders = [error] if error is document or not isinstance(document, dict) else [error, document]
    codes = [holder.get(name) for holder in holders for name in ("code", "type", "status")]
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():  # Google's ErrorInfo
        codes += [detail.get("reason")] if isinstance(detail, dict) else []
    metadata = error.get("metadata")
    return Words(
        tuple(str(code) for code in codes if isinstance(code, str | int)),
        _message_of(error),
        isinstance(metadata, dict) and "flagged_input" in metadata,  # OpenRouter
    )


def _document(body: bytes, headers: Mapping[str, str]) -> object:
    lowered = {name.lower(): value for name, value in headers.items()}
    encoding = lowered.get("content-encoding")
    if len(body) > _MAX_BODY_BYTES or encoding not in (None, "", "identity"):
        return None
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(document, dict) and (kind := lowered.get(_AWS_KIND)):
        # As in "ValidationException:http://internal.amazon.com/coral/".
        return {"code": kind.partition(":")[0], **document}
    return document


def in_stream(error: object, codes: Sequence[str], secrets: Sequence[str] = ()) -> UpstreamFault:
    """The same for an error that arrived as an event; `error` is its parsed error member."""
    status = 0
    if isinstance(error, dict):
        values = [error.get("code"), error.get("type")]
        # A word says more than a number: an empty account is told as "429, insufficient_quota".
        words = [_STATUS_OF_TYPE.get(value, 0) for value in values if isinstance(value, str)]
        numbers = [
            value
            for value in values
            if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600  # noqa: PLR2004
        ]
        status = next(filter(None, words + numbers), 0)
    if status not in DESCRIBED_STATUSES:
        return UpstreamFault(http_status=status)
    described = _described(error, codes, secrets)
    return UpstreamFault(http_status=status, **described._asdict())


def is_too_long(message: str) -> bool:
    """Return True for the words in which vendors say that a prompt does not fit into the model."""
    return _TOO_LONG.search(message) is not None


def retry_after_ms(
    headers: Mapping[str, str], body: bytes = b"", *, now_unix_ms: int, is_rate: bool = True
) -> int | None:
    """In how long the upstream asked to be called again, a day at most; nonsense is ignored.

    Said in seconds, as a date (RFC 9110), by Google in its error, by Anthropic beside each limit,
    which counts where a rate was refused (`is_rate`).
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    if found := _MILLISECONDS.match(lowered.get("retry-after-ms", "")):
        return min(int(found[1]), _MAX_RETRY_AFTER_MS)
    seconds = lowered.get("retry-after", "") or _retry_delay(body, headers)
    if found := _SECONDS.match(seconds):
        fraction = int((found[2] or "0").ljust(3, "0"))
        return min(int(found[1]) * 1_000 + fraction, _MAX_RETRY_AFTER_MS)
    if not seconds and not is_rate:
        return None
    moment_ms = _http_date_ms(seconds) if seconds else _limits_reset_ms(lowered)
    return None if moment_ms is None else min(max(moment_ms - now_unix_ms, 0), _MAX_RETRY_AFTER_MS)


def _http_date_ms(text: str) -> int | None:
    try:
        moment = parsedate_to_datetime(text[:_DATE_CHARACTERS_MAX])
        return timegm(moment.utctimetuple()) * 1_000
    except (ValueError, IndexError, TypeError, OverflowError):
        return None


def _limits_reset_ms(lowered: Mapping[str, str]) -> int | None:
    """When the last of Anthropic's limits is full again, of those with nothing left."""
    used_up = (_LIMIT_LEFT.match(name) for name, left in lowered.items() if left == "0")
    resets = (_moment_ms(lowered.get(f"{limit[1]}-reset", "")) for limit in used_up if limit)
    return max((reset for reset in resets if reset is not None), default=None)


def _moment_ms(text: str) -> int | None:
    found = _MOMENT.match(text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    east_hours, east_minutes = int(found[7] or 0), int(found[8] or 0)
    east_s = east_hours * 3_600 + (-east_minutes if text[-6] == "-" else east_minutes) * 60
    try:
        return (timegm((year, month, day, hour, minute, second)) - east_s) * 1_000
    except ValueError:
        return None


def _retry_delay(body: bytes, headers: Mapping[str, str]) -> str:
    """Google's RetryInfo, as in "34.4s": its seconds; empty for none."""
    error = _error_of(_document(body, headers))
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            return delay.removesuffix("s")
    return ""


def _error_of(document: Any) -> object:
    """The object with the message, whoever wrote it."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return None
    for name in _HOLDERS:
        error = document.get(name)
        if name == "errors" and isinstance(error, list) and error:
            error = error[0]
        if isinstance(error, dict) or (isinstance(error, str) and not _message_of(document)):
            return error
    return document


def _message_of(error: Mapping[str, Any]) -> str:
    for name in _MESSAGES:
        message = error.get(name)
        if isinstance(message, str) and message:
            return message
        if isinstance(message, list) and (found := _validation(message)):
            return found
    return ""


def _validation(details: Sequence[Any]) -> str:
    """FastAPI's list of what is wrong, as one text: where, and why."""
    found = (
        f"{_place(detail)}: {detail['msg']}" if _place(detail) else detail["msg"]
        for detail in details[:_MAX_DETAILS]
        if isinstance(detail, dict) and isinstance(detail.get("msg"), str)
    )
    return "; ".join(found)


def _place(detail: Mapping[str, Any]) -> str:
    place = detail.get("loc")
    if not isinstance(place, list):
        return ""
    return ".".join(str(step) for step in place[place[:1] == ["body"] :])


def _described(error: object, codes: Sequence[str], secrets: Sequence[str]) -> Description:
    if isinstance(error, str):
        return Description(message=scrub(error, secrets))
    if not isinstance(error, dict):
        return Description()
    words = (_word(error.get(name), _CODE, secrets) for name in codes)
    param = error.get("param")
    details = error.get("detail")
    if isinstance(details, list) and details and isinstance(details[0], dict):
        param = _place(details[0])
    return Description(
        message=scrub(_message_of(error), secrets),
        code=next(filter(None, words), ""),
        param=_word(param, _PARAM, secrets),
    )


def _word(value: object, pattern: re.Pattern[str], secrets: Sequence[str]) -> str:
    if type(value) is int and not 0 <= value < 600:  # noqa: PLR2004 - a status repeated says nothing
        value = str(value)
    if not isinstance(value, str) or not pattern.match(value):
        return ""
    return "" if REDACTED in scrub(value, secrets) else value
