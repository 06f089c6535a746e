"""Calls and their results, as every writer that needs them in their places gets them."""

import time

import pytest

from tollgate_dialects.conversation.pairing import paired
from tollgate_dialects.conversation.parts import Text, ToolCall, ToolResult
from tollgate_dialects.conversation.request import Turn

HELLO = Turn("user", (Text("hi"),))
# Calls, and seconds of processor time that they may take.
MANY, SECONDS_MAX = 20_000, 2.0


def asked(*ids):
    return Turn("assistant", tuple(ToolCall(one, "f", "{}") for one in ids))


def said(words, role="assistant"):
    return Turn(role, (Text(words),))


def given(*results):
    parts = tuple(ToolResult(call_id, (Text(words),)) for call_id, words in results)
    return Turn("user", parts)


def told(*turns, is_joined=False):
    """Each turn in short: its words, the ids of its calls, its results by id."""
    found = []
    for turn in paired(turns, is_joined=is_joined):
        short = []
        for part in turn.parts:
            if isinstance(part, ToolResult):
                short.append((part.call_id, *(inner.text for inner in part.parts)))
            else:
                short.append(part.text if isinstance(part, Text) else part.call_id)
        found.append(short)
    return found


def test_a_call_that_nobody_answered_takes_no_later_result():
    """A client that was stopped goes on, and Kimi counts anew (oh-my-pi#2055)."""
    turns = (HELLO, asked("s:0"), said("stop", "user"), asked("s:0"), given(("s:0", "r")))
    assert [["hi"], ["s:0"], ["stop"], ["s:0_2"], [("s:0_2", "r")]] == told(*turns)


def test_answers_in_a_row_are_answered_each_or_together():
    """As their protocol has them: messages of their own, or one."""
    turns = (HELLO, asked("a"), asked("b"), given(("b", "2"), ("a", "1")), said("go", "user"))
    assert [["hi"], ["a"], [("a", "1")], ["b"], [("b", "2"), "go"]] == told(*turns)
    assert [["hi"], ["a"], ["b"], [("a", "1"), ("b", "2"), "go"]] == told(*turns, is_joined=True)


@pytest.mark.parametrize("is_joined", [False, True])
def test_what_is_in_order_stays_as_it_is(is_joined):
    """Also results of calls that are not there, and the beginning of an answer.

    Where answers in a row are one, a turn of nothing is left out.
    """
    turns = (
        Turn("system", (Text("s"),)), given(("gone", "0")), said("a"), HELLO, Turn("user", ()),
        asked("a", "b"), given(("a", "1"), ("b", "2")), said("so"),
    )  # fmt: skip
    kept = [turn for turn in turns if turn.parts or not is_joined]
    assert kept == paired(turns, is_joined=is_joined)
    assert [] == paired((), is_joined=is_joined)


@pytest.mark.parametrize("is_joined", [False, True])
def test_the_last_result_is_not_gone_on_from(is_joined):
    """Words before it are said with the calls: at the end they would begin the next answer."""
    turns = (HELLO, asked("a", "b"), given(("a", "1")), said("wait"), given(("b", "2")))
    assert [["hi"], ["wait", "a", "b"], [("a", "1"), ("b", "2")]] == (
        told(*turns, is_joined=is_joined)
    )
    assert [["hi"], ["a", "b"], [("a", "1"), ("b", "2")], ["wait"], ["go"]] == (
        told(*turns, said("go", "user"), is_joined=is_joined)
    )


@pytest.mark.parametrize("is_joined", [False, True])
def test_many_calls_of_one_name_take_no_square_of_time(is_joined):
    """Ids and repeats are the client's: none costs more than the next."""
    ids = ["e"] * MANY
    turns = (HELLO, asked(*ids), given(*((one, str(at % 7)) for at, one in enumerate(ids * 2))))
    began = time.process_time()
    (_, calls, results) = paired(turns, is_joined=is_joined)
    assert time.process_time() - began < SECONDS_MAX
    sent = [part.call_id for part in calls.parts]
    assert MANY == len(set(sent))
    assert sent == [part.call_id for part in results.parts]


def test_a_turn_of_nothing_parts_no_answers():
    """It is not sent where answers in a row are one, so their calls have ids of their own."""
    turns = (HELLO, asked("a"), said(" ", "user"), asked("a"))
    assert [["hi"], ["a"], ["a_2"]] == told(*turns, is_joined=True)
    assert [["hi"], ["a"], [" "], ["a_2"]] == told(*turns)
