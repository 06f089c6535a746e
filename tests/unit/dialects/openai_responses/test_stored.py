"""Responses that an upstream keeps: ids, what is asked about them, what going on from one costs."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.pricing.test_bound import PRICE, prices
from tollgate_dialects.answer.meter import BodyMeter, StreamMeter
from tollgate_dialects.common.protocol import Protocol
from tollgate_dialects.common.refusal import BadRequest
from tollgate_dialects.openai_responses import ids, stored
from tollgate_dialects.openai_responses.dialect import OPENAI_RESPONSES
from tollgate_dialects.pricing import bound
from tollgate_dialects.pricing.cost import cost_nano_usd
from tollgate_dialects.pricing.units import Unit
from tollgate_dialects.pricing.usage import NOTHING
from tollgate_dialects.registry import DIALECTS
from tollgate_dialects.request import close_bound
from tollgate_dialects.request import request as requests
from tollgate_dialects.tokens import calibration as calibrations

ID = "resp_0a1B-c_9"
FORGED = (
    "", "resp_", "RESP_a", "resp_a/b", "resp_a?x=1", "resp_a#x", "resp_..%2f", "resp_a\n", "../x",
    "resp_\u0661", "resp_" + "a" * 129, "msg_1", "resp_a b", " resp_a", "resp_a\0",
)  # fmt: skip
RESPONSE = {
    "id": ID, "object": "response", "created_at": 1, "model": "up", "status": "completed",
    "store": True, "output": [], "usage": {"input_tokens": 7, "output_tokens": 5},
}  # fmt: skip


def read(**members: Any) -> requests.RequestFacts:
    return requests.read(orjson.dumps({"model": "m", **members}), OPENAI_RESPONSES.request)


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_id_is_no_id(forged):
    """Whatever could mean something in a path, or is of no response, goes no further."""
    assert not ids.is_id(forged)
    assert "" == ids.kept_as({"id": forged})
    with pytest.raises(BadRequest) as refused:
        read(input="Hi", previous_response_id=forged)
    assert ("invalid_value", ids.PREVIOUS) == (refused.value.code, refused.value.param)
    assert "The id of a response begins with resp_." == refused.value.message
    with pytest.raises(AssertionError):
        stored.below(stored.ACTIONS["retrieve"], forged, "")


def test_what_a_request_says_of_stored_responses():
    """Whom it goes on from, and whether its own is to be kept: by default, as at OpenAI."""
    assert ("", True) == (read(input="Hi").previous_id, read(input="Hi").is_to_be_kept)
    assert not read(input="Hi", store=False).is_to_be_kept
    assert ID == read(input="Hi", previous_response_id=ID).previous_id
    assert ID == read(previous_response_id=ID).previous_id
    for body in ({}, {"previous_response_id": None}, {"previous_response_id": 7, "input": "Hi"}):
        with pytest.raises(BadRequest):
            read(**body)
    for spelling in ("previousResponseId", "Previous_Response_Id", "Store", "s_tore"):
        with pytest.raises(BadRequest) as refused:
            read(input="Hi", **{spelling: ID})
        assert "ambiguous_key" == refused.value.code


@given(
    prices(),
    st.text(max_size=200),
    st.integers(1, 10**7),
    st.integers(0, 10**7),
    st.floats(0, 1),
    st.sampled_from([None, *calibrations.BY_WORD.values()]),
)
def test_what_is_reserved_covers_what_was_said_before(
    price, text, context_tokens, output, share, calibration
):
    """However the new words are counted, all of the old ones are reserved for on top of them."""
    body = orjson.dumps({"model": "m", "input": text, "previous_response_id": ID})
    facts = requests.read(body, OPENAI_RESPONSES.request)
    alone = facts
    for going_on_first in (True, False):
        asked = facts
        if going_on_first:
            asked = asked.going_on(context_tokens)
        if calibration is not None:
            close = close_bound.count(body, OPENAI_RESPONSES.request, calibration)
            asked, alone = close.of(asked), close.of(facts)
        if not going_on_first:
            asked = asked.going_on(context_tokens)
        found = bound.worst_case(asked, price)
        # The upstream reads the old conversation, and as much of the new words as bounds them.
        most = min(context_tokens + int(share * alone.input_token_bound), price.max_input_tokens)
        assert most <= found.input_tokens
        written = min(output, found.max_output_tokens)
        usage = NOTHING.with_count(Unit.INPUT, most).with_count(Unit.OUTPUT, written)
        assert cost_nano_usd(usage, price) <= found.amount_nano_usd


def test_a_context_of_which_nobody_knows_reserves_what_the_model_reads():
    """As for a picture by its address: the model's own limit."""
    asked = read(input="Hi", previous_response_id=ID).going_on(0)
    assert PRICE.max_input_tokens == bound.worst_case(asked, PRICE).input_tokens
    assert not bound.is_worth_counting(asked, PRICE)


@pytest.mark.parametrize("goes_on_first", [True, False])
def test_no_count_of_a_picture_bounds_a_context_of_which_nobody_knows(goes_on_first):
    """A picture that the vendor fetches is bounded where the model is known: not all beside it."""
    part = {"type": "input_image", "image_url": "https://p.example/1.png"}
    document = {"model": "m", "input": [{"role": "user", "content": [part]}]}
    body = orjson.dumps(document | {"previous_response_id": ID})
    facts = requests.read(body, OPENAI_RESPONSES.request)
    known = calibrations.of_model("gpt-5-mini")
    close = close_bound.count(body, OPENAI_RESPONSES.request, known)
    for context_tokens, is_bounded in ((0, False), (7, True)):
        asked = facts.going_on(context_tokens) if goes_on_first else facts
        asked = close.of(asked)
        asked = asked if goes_on_first else asked.going_on(context_tokens)
        assert is_bounded is not asked.unbounded_input
        found = bound.input_tokens(asked, PRICE)
        assert found == (close.tokens + 7 if is_bounded else PRICE.max_input_tokens)


@pytest.mark.parametrize(
    ("action", "written", "sent"),
    [
        ("retrieve", "", ""),
        ("retrieve", "stream=false", ""),
        ("retrieve", "include[]=a.b&include[]=c", "include%5B%5D=a.b&include%5B%5D=c"),
        ("input_items", "after=msg_1&limit=100&order=desc", "after=msg_1&limit=100&order=desc"),
        ("input_items", "include=x_y", "include=x_y"),
        ("input_items", "api-version=2025-04-01-preview&limit=2", "limit=2"),
        ("retrieve", "api-version=preview", ""),
        ("delete", "api-version=v1", ""),
        ("cancel", "api-version=2025-04-01-preview", ""),
    ],
)
def test_a_query_passes_word_by_word(action, written, sent):
    """What is on the list, encoded anew."""
    assert sent == stored.ACTIONS[action].query(written)


@pytest.mark.parametrize(
    ("action", "written"),
    [
        ("retrieve", "stream=true"),
        ("retrieve", "starting_after=3"),
        ("retrieve", "after=msg_1"),
        ("retrieve", "include[]=a%0d%0ab"),
        ("retrieve", "include[]=%ff"),
        ("retrieve", "include[]=" + "a" * 5_000),
        ("retrieve", "&".join(["include=a"] * 40)),
        ("input_items", "limit=101"),
        ("input_items", "limit=0"),
        ("input_items", "limit=\u0661"),
        ("input_items", "limit=1\u0663"),
        ("input_items", "order=up"),
        ("input_items", "after=../x"),
        ("input_items", "stream=true"),
        ("delete", "force=1"),
        ("cancel", "stream=false"),
        ("delete", "x"),
        ("delete", "api-version=a%0db"),
    ],
)
def test_a_query_that_is_not_on_the_list_is_refused(action, written):
    """By its name, and without what it said."""
    with pytest.raises(BadRequest) as refused:
        stored.ACTIONS[action].query(written)
    assert written.partition("=")[2] not in refused.value.message or "=" not in written


@given(st.text(max_size=60))
def test_no_query_leaves_the_words_that_are_on_the_list(written):
    """Whatever is written, what goes upstream is plain."""
    for action in stored.ACTIONS.values():
        try:
            sent = action.query(written)
        except BadRequest:
            continue
        path = stored.below(action, ID, sent)
        assert path.isascii()
        assert path.startswith(f"/{ID}{action.below}")
        assert not set(path) & set(" #\r\n\\")


def metered(action: str, document: Any) -> tuple[bytes, BodyMeter]:
    meter = BodyMeter(stored.ACTIONS[action].answer)
    meter.feed(json.dumps(document).encode())
    return meter.finish(), meter


def test_what_passes_of_each_answer():
    """Listed members alone; what has not the shape of an answer is none."""
    items = [
        {"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text"}]}
    ]
    listed = {"object": "list", "data": items, "first_id": "msg_1", "last_id": "msg_1",
              "has_more": False}  # fmt: skip
    deleted = {"id": ID, "object": "response", "deleted": True}
    for action, document in (
        ("retrieve", RESPONSE), ("input_items", listed), ("delete", deleted), ("cancel", RESPONSE),
    ):  # fmt: skip
        passed, meter = metered(action, {**document, "x_upstream_account": "org-1"})
        assert meter.finished
        assert document == json.loads(passed)
        for wrong in ({"error": {"message": "no"}}, {"object": "page"}, [document], "x"):
            assert b"" == metered(action, wrong)[0]


def test_meters_say_under_which_id_an_answer_is_kept():
    """Whole and streamed; none where the vendor says that it does not keep it."""
    for changes, kept_as in (
        ({}, ID), ({"store": None}, ID), ({"store": False}, ""), ({"id": "x/../y"}, ""),
        ({"status": "incomplete"}, ID),
    ):  # fmt: skip
        document = {**RESPONSE, **changes}
        assert kept_as == metered("retrieve", document)[1].kept_as
        event = {"type": f"response.{document['status']}", "response": document}
        frame = b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
        meter = StreamMeter(OPENAI_RESPONSES.answer)
        meter.feed(frame)
        assert (True, kept_as) == (meter.finished, meter.kept_as)


def test_other_protocols_keep_nothing():
    """An answer of a chat has an id, too; its client cannot ask for it."""
    for protocol, dialect in DIALECTS.items():
        if protocol is not Protocol.OPENAI_RESPONSES:
            assert "" == dialect.answer.kept_as(RESPONSE)
            assert dialect.request.is_to_be_kept is None
