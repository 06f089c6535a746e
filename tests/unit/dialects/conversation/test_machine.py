"""The order of a stream's events, the answer that they add up to, and blocks that are carried."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollgate_dialects.conversation import carrier
from tollgate_dialects.conversation.answer import (
    Answer,
    Cited,
    Delta,
    Ending,
    Finished,
    PartEnded,
    PartStarted,
    Sealed,
    Started,
    Stop,
)
from tollgate_dialects.conversation.machine import IllegalEventError, Machine, Order, events_of
from tollgate_dialects.conversation.parts import (
    Citation,
    FunctionTool,
    Opaque,
    Origin,
    Seal,
    Text,
    Thinking,
    ToolCall,
)
from tollgate_dialects.conversation.tools import (
    CallRestorer,
    FlatTools,
    flat_names,
    restored_answer,
)

BLOCK = Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, "sig")
END = Finished(Ending(Stop.END))
WORDS = st.text(max_size=20)
OPAQUES = st.builds(
    Opaque, st.sampled_from(Origin), st.sampled_from(Seal), WORDS, st.text("abc_-", max_size=5)
)
PARTS = st.one_of(
    st.builds(Text, WORDS, st.lists(st.builds(Citation, WORDS), max_size=2).map(tuple)),
    st.builds(Thinking, WORDS, st.none() | OPAQUES),
    st.builds(ToolCall, WORDS, WORDS, WORDS, opaque=st.none() | OPAQUES),
)
ANSWERS = st.builds(
    Answer,
    st.lists(PARTS, max_size=4).map(tuple),
    st.builds(Ending, st.sampled_from(Stop)),
    WORDS,
    WORDS,
)


@given(ANSWERS)
def test_an_answers_events_add_up_to_it(answer):
    """Whole or streamed, an answer is the same."""
    machine = Machine()
    for event in events_of(answer):
        machine.check(event)
    assert machine.finished
    assert answer == machine.answer()


@pytest.mark.parametrize(
    "events",
    [
        [PartStarted(Text(""))],
        [Started(), Started()],
        [Started(), Delta("a")],
        [Started(), PartEnded()],
        [Started(), PartStarted(Text("")), PartStarted(Text(""))],
        [Started(), PartStarted(Text("")), END],
        [Started(), PartStarted(Text("")), Sealed(BLOCK)],
        [Started(), PartStarted(Thinking("")), Sealed(BLOCK), Sealed(BLOCK)],
        [Started(), PartStarted(Thinking("")), Cited(Citation("u"))],
        [Started(), END, PartStarted(Text(""))],
        [Started(), END, END],
    ],
)
def test_what_is_out_of_order_is_refused(events):
    """One start, one part at a time, deltas where they belong, one finish."""
    machine = Machine()
    with pytest.raises(IllegalEventError):
        for event in events:
            machine.check(event)


def test_no_answer_before_the_finish():
    """Half an answer is none."""
    machine = Machine()
    machine.check(Started())
    with pytest.raises(IllegalEventError):
        machine.answer()


@given(OPAQUES, st.sampled_from(Origin), st.sampled_from(Seal))
def test_a_block_comes_back_as_it_was(opaque, own, seal):
    """Byte for byte, whoever made it and through whosever place it went."""
    back = carrier.restored(carrier.carried(opaque, own), own, seal)
    if opaque.origin is own:
        assert opaque.data == carrier.carried(opaque, own) or opaque.item_id
    else:
        assert opaque == back


def test_a_vendors_own_block_is_no_carrier():
    """What only looks like one is the vendor's, whole."""
    for text in ("tg1:somebody:signature::x", "tg1:openai", "Eu8BCkYI", ""):
        assert Opaque(Origin.ANTHROPIC, Seal.SIGNATURE, text) == carrier.restored(
            text, Origin.ANTHROPIC, Seal.SIGNATURE
        )


TOOLS = (
    FunctionTool("read", namespace="files"),
    FunctionTool("read"),
    FunctionTool("patch", takes_text=True),
    FunctionTool("files__read"),
    FunctionTool("a.b"),
    FunctionTool("a_b"),
    FunctionTool("n" * 80),
)


def test_no_two_tools_share_a_name():
    """Names that every protocol takes, and the same each time."""
    names = flat_names(TOOLS)
    assert len(TOOLS) == len(set(names.values()))
    assert names == flat_names(TOOLS)
    assert all(0 < len(name) <= 64 and name.isascii() for name in names.values())
    assert "read" == names["", "read"]


@given(st.sampled_from(TOOLS), WORDS)
def test_a_call_comes_back_as_its_tool_was_declared(tool, words):
    """Whole and in a stream: its group, its name, and its free text."""
    arguments = words if tool.takes_text else '{"a":1}'
    call = ToolCall("c", tool.name, arguments, tool.namespace, tool.takes_text)
    upstream = FlatTools(TOOLS).call(call)
    assert ("", False) == (upstream.namespace, upstream.takes_text)
    answer = Answer((upstream,), Ending(Stop.TOOL_CALLS))
    assert (call,) == restored_answer(answer, TOOLS).parts
    restorer, machine = CallRestorer(TOOLS), Machine()
    for event in events_of(answer):
        for told in restorer.restore(event):
            machine.check(told)
    assert (call,) == machine.answer().parts


def test_following_a_stream_keeps_none_of_its_text():
    """A stream of any length is translated in the same memory."""
    order = Order()
    order.check(Started())
    order.check(PartStarted(Text("")))
    for _ in range(1_000):
        order.check(Delta("x" * 1_000))
    assert len(pickle.dumps(vars(order))) < 1_000
